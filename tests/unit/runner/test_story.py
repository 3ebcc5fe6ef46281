"""
A run in sentences.
"""

from pathlib import Path

import pytest

from runbook_lib.runner.record import FAILED, PASSED, Page, Run
from runbook_lib.runner.story import check_sentence, duration, headline, last_checks


@pytest.mark.parametrize(
    ("name", "expected", "actual", "passed", "sentence"),
    [
        ("results that are missing", "none", "none", True, "Results that are missing: none."),
        ("answers that differ", "none", "none of 504", True, "Answers that differ: none of 504."),
        ("limits are enforced", "yes", "yes", True, "Limits are enforced."),
        ("vCPUs", "at most 32", "6", True, "vCPUs: 6, at most 32."),
        ("nodes", "6", "4", False, "Nodes: 4, but expected 6."),
        ("limits are enforced", "yes", "no", False, "Limits are enforced: no, but expected yes."),
    ],
)
def test_a_check_is_a_sentence(name, expected, actual, passed, sentence):
    check = {"name": name, "expected": expected, "actual": actual, "passed": passed}
    assert sentence == check_sentence(check)


def test_a_repeated_check_is_told_once_with_its_last_result():
    checks = [{"name": name, "actual": seen} for name, seen in (("a", "1"), ("b", "2"), ("a", "3"))]
    assert [("a", "3"), ("b", "2")] == [
        (check["name"], check["actual"]) for check in last_checks(Page("01_x", "X", checks=checks))
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.44, "0.4 s"),
        (4, "4 s"),
        (0, "0 s"),
        (59.6, "1 min"),
        (425, "7 min 5 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_a_duration_has_the_units_that_a_person_uses(seconds, words):
    assert words == duration(seconds)


def test_the_headline_says_all_or_how_many():
    good = Page("01_x", "X", PASSED, changes=[{}], checks=[{"passed": True}, {"passed": True}])
    run = Run(Path("r"), "p.yml", [], {}, [good, good], seconds=61.0, verdict=PASSED)
    assert "All 2 notebooks ran, all 4 checks passed, 2 changes, in 1 min 1 s." == headline(run)
    run = Run(
        Path("r"), "p.yml", [], {}, [good, Page("02_y", "Y", FAILED)], seconds=1.0, verdict=FAILED
    )
    assert "1 of 2 notebooks passed, all 2 checks passed, 1 change, in 1.0 s." == headline(run)
