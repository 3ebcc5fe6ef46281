"""
The quorum, counted: what a majority is, what bears a failure, and what is refused.
"""

import pytest

from runbook_lib.core.errors import ConflictError
from runbook_lib.swarm.quorum import Quorum, check_quorum_after, quorum_table


@pytest.mark.parametrize(
    ("managers", "needed", "tolerated"), [(1, 1, 0), (2, 2, 0), (3, 2, 1), (4, 3, 1), (5, 3, 2)]
)
def test_a_majority_is_needed_and_the_rest_may_fail(managers, needed, tolerated):
    assert (needed, tolerated) == (Quorum(managers).needed, Quorum(managers).tolerated)


def test_one_that_does_not_answer_is_a_failure_already_borne():
    """Three of which one is silent bear no other failure."""
    assert (True, 0) == (Quorum(3, 1).holds, Quorum(3, 1).tolerated)
    assert "3 managers, 1 without an answer; 2 must agree, 0 may fail" == repr(Quorum(3, 1))


@pytest.mark.parametrize(
    ("now", "change", "then"),
    [
        (Quorum(1), {"managers": 1}, Quorum(2)),
        (Quorum(2), {"managers": -1}, Quorum(1)),
        (Quorum(3), {"unreachable": 1}, Quorum(3, 1)),
        (Quorum(3, 1), {"managers": 1}, Quorum(4, 1)),
        (Quorum(3, 1), {"managers": -1, "unreachable": -1}, Quorum(2)),
    ],
    ids=["the second joins", "it leaves", "one of three fails", "a fourth", "the dead one goes"],
)
def test_a_change_that_leaves_a_majority_is_allowed(now, change, then):
    assert then == check_quorum_after(now, **change)


@pytest.mark.parametrize(
    ("now", "change"),
    [
        (Quorum(1), {"managers": -1}),
        (Quorum(1), {"unreachable": 1}),
        (Quorum(2), {"unreachable": 1}),
        (Quorum(3, 1), {"managers": -1}),
        (Quorum(3, 1), {"unreachable": 1}),
    ],
    ids=["the last leaves", "the only one", "one of two", "one of the two living", "a second"],
)
def test_a_change_that_loses_the_majority_is_refused(now, change):
    with pytest.raises(ConflictError, match=r"(?s)expected a majority.*now: .*next: "):
        check_quorum_after(now, **change)


def test_the_refusal_names_who_has_to_come_back_first():
    with pytest.raises(ConflictError, match="of 2 then 1 would answer, and 2 must agree"):
        check_quorum_after(Quorum(3, 1), managers=-1)
    with pytest.raises(ConflictError, match="docker node ls"):
        check_quorum_after(Quorum(3, 1), managers=-1)


def test_two_managers_are_worse_than_one_and_three_are_better():
    """Each down a hundredth of the time: 1 - 0.99, 1 - 0.99², 3 × 0.01² × 0.99 + 0.01³."""
    table = quorum_table(3, each_down=0.01)
    assert [1, 2, 3] == list(table["managers"])
    assert [1, 2, 2] == list(table["must_agree"])
    assert [0, 0, 1] == list(table["may_fail"])
    assert [87.6, 174.3, 2.6] == list(table["hours_a_year_without"])
