"""
Checks compare, record, and stop; changes are noted as they happen.
"""

import json

import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from runbook_lib.core import checks
from runbook_lib.core.activity import ACTIVITY
from runbook_lib.core.changes import Changes
from runbook_lib.core.checks import SUMMARY_MIME, Verdict, check, check_at_most, note, summary
from runbook_lib.core.errors import CheckFailedError


@pytest.fixture(autouse=True)
def empty_activity():
    ACTIVITY.changes.clear()
    ACTIVITY.checks.clear()
    ACTIVITY.calls.clear()
    ACTIVITY.notes.clear()


def last() -> Verdict:
    return Verdict(ACTIVITY.checks[-1])


def test_an_equal_value_passes_and_shows_itself():
    check("all ready", expected=6, actual=6)
    assert "✓ all ready: 6" == repr(last())
    assert "<b>all ready</b>: 6" in last()._repr_html_()


CELL = """
from runbook_lib.core import checks

checks.check("nodes", expected=6, actual=6)
checks.none("tiles that were lost", [], of=504)
"""


@pytest.mark.parametrize("value", ["", "'a table'"])
def test_every_check_of_a_cell_is_shown_once(value):
    """A notebook shows the last value of a cell alone: it hid the checks before that."""
    try:
        shell = InteractiveShell.instance()
        with capture_output() as shown:
            shell.run_cell(CELL + value)
    finally:
        InteractiveShell.clear_instance()
    seen = [output.data["text/plain"] for output in shown.outputs]
    assert ["✓ nodes: 6", "✓ tiles that were lost: none of 504"] == seen
    assert value in shown.stdout
    assert "✓" not in shown.stdout


def test_a_different_value_stops_with_both_and_the_next_step():
    with pytest.raises(CheckFailedError) as caught:
        check("all ready", expected=6, actual=4, next_step="wait")
    assert "all ready: expected 6, saw 4\n  next: wait" == str(caught.value)
    assert [False] == [c.passed for c in ACTIVITY.checks]


@pytest.mark.parametrize("nothing", [[], {}, set(), (), "", 0])
def test_nothing_of_a_kind_passes_and_says_none(nothing):
    checks.none("nodes that are not ready", nothing)
    assert "✓ nodes that are not ready: none" == repr(last())


@pytest.mark.parametrize(
    ("offenders", "seen"),
    [
        (["a", "b", "c"], "a, b and c"),
        ({"b", "a"}, "a and b"),
        ({"a": 1}, "a: 1"),
        ("worker-1", "worker-1"),
        (1234, "1,234"),
        ([0], "0"),
    ],
)
def test_something_of_a_kind_stops_and_is_named(offenders, seen):
    with pytest.raises(CheckFailedError) as caught:
        checks.none("nodes that are not ready", offenders, next_step="wait")
    expected = f"nodes that are not ready: expected none, saw {seen}\n  next: wait"
    assert expected == str(caught.value)


def test_no_answer_is_not_the_same_as_nothing():
    with pytest.raises(CheckFailedError):
        checks.none("nodes that are not ready", None)


def test_a_check_for_nothing_can_say_among_how_many():
    checks.none("wrong probes", [], of=1504)
    assert "✓ wrong probes: none of 1,504" == repr(last())
    with pytest.raises(CheckFailedError, match="expected none, saw 2 of 504: a and b"):
        checks.none("wrong probes", ["a", "b"], of=504)
    with pytest.raises(CheckFailedError, match=r"saw 2 of 504$"):
        checks.none("wrong probes", 2, of=504)


def test_a_statement_is_true_or_stops():
    checks.true("the tiles are untouched", True)
    assert "✓ the tiles are untouched: yes" == repr(last())
    checks.true("of numpy", np.bool_(True))
    assert ACTIVITY.checks[-1].passed is True
    with pytest.raises(CheckFailedError, match="untouched: expected yes, saw no"):
        checks.true("the tiles are untouched", False)
    with pytest.raises(CheckFailedError, match="expected yes, saw a list"):
        checks.true("only a truth value is true", ["a list"])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "yes"),
        (np.bool_(False), "no"),
        (None, "none"),
        ("", "none"),
        ([], "none"),
        (12345, "12,345"),
        (np.int64(12345), "12,345"),
        (1234.5, "1,234.5"),
        (2.0, "2"),
        (0.1083, "0.1083"),
        (1234567.8, "1,234,568"),
        (["a"], "a"),
        ((True, False), "yes and no"),
        ({"b", "a"}, "a and b"),
        ({"manager": "running", "worker-1": "pending"}, "manager: running and worker-1: pending"),
        ({"manager": ["a", "b"], "worker-1": ["a"]}, "manager: a and b; worker-1: a"),
        (
            [("worker-1", "running"), ("worker-2", "pending")],
            "worker-1 running and worker-2 pending",
        ),
    ],
)
def test_a_value_is_shown_in_words(value, words):
    assert words == checks.in_words(value)


def test_different_values_have_different_words():
    with pytest.raises(CheckFailedError, match="expected 6, saw '6'"):
        check("all ready", expected=6, actual="6")


def test_a_long_value_is_cut():
    check("long", expected="x" * 999, actual="x" * 999)
    assert 300 == len(ACTIVITY.checks[-1].actual)


def test_values_cannot_bring_markup_into_the_page():
    check("x", expected="<script>", actual="<script>")
    assert "<script" not in last()._repr_html_()


def test_the_summary_carries_the_activity_for_the_report():
    check("all ready", expected=6, actual=6)
    Changes().add("instance", "worker-1", "launched")
    ACTIVITY.calls["ec2:RunInstances"] += 1
    bundle = summary()._repr_mimebundle_()
    assert "✓ all ready: 6\n1 change" == bundle["text/plain"]
    assert {
        "changes": [{"what": "instance", "name": "worker-1", "action": "launched"}],
        "checks": [{"name": "all ready", "expected": "6", "actual": "6", "passed": True}],
        "calls": {"ec2:RunInstances": 1},
        "notes": [],
    } == json.loads(json.dumps(bundle[SUMMARY_MIME]))


def test_what_a_person_takes_away_is_in_the_summary_and_an_address_can_be_clicked():
    note("the map", "http://192.0.2.7:8080")
    note("a token", "ssh ubuntu@192.0.2.7 'a && b'")
    bundle = summary()._repr_mimebundle_()
    assert "the map: http://192.0.2.7:8080" in bundle["text/plain"].splitlines()
    assert '<a href="http://192.0.2.7:8080">http://192.0.2.7:8080</a>' in bundle["text/html"]
    assert "<code>ssh ubuntu@192.0.2.7 &#39;a &amp;&amp; b&#39;</code>" in bundle["text/html"]
    noted = {"what": "the map", "text": "http://192.0.2.7:8080", "fact": False}
    assert noted == bundle[SUMMARY_MIME]["notes"][0]


def test_nothing_changed_says_so():
    assert "no changes" == repr(summary())
    assert "no changes" == repr(Changes())
    assert "no changes" in Changes()._repr_html_()


def test_changes_show_as_a_table_and_reach_the_activity():
    changes = Changes()
    changes.add("node", "worker-1", "joined <swarm>")
    assert "node worker-1: joined <swarm>" == repr(changes)
    assert ">joined &lt;swarm&gt;</td>" in changes._repr_html_()
    assert changes == ACTIVITY.changes


def test_a_verdict_of_numpy_can_be_written_as_json():
    """A column's maximum is no float of Python's, and its comparison no bool."""
    check_at_most("load", limit=1, actual=np.float64(0.5))
    assert ACTIVITY.checks[-1].passed is True


def test_a_number_is_shown_with_its_limit():
    check_at_most("USD an hour", limit=0.15, actual=0.1073)
    assert "✓ USD an hour: 0.1073, at most 0.15" == repr(last())
