"""
Whether the Swarm can be changed: a request that runs into its time limit tells neither.
"""

from types import SimpleNamespace

import pytest
from docker.errors import APIError

from runbook_lib.errors import WaitTimeoutError
from runbook_lib.quorum_recovery import has_majority

LATE = "rpc error: code = DeadlineExceeded desc = context deadline exceeded"
ALONE = "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that ..."


def manager(*answers):
    """An engine that answers one after the other; a text is an error."""
    left = list(answers)

    def nodes():
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, str):
            raise APIError("500 Server Error", explanation=answer)
        return answer

    return SimpleNamespace(nodes=SimpleNamespace(list=nodes))


def test_who_is_led_has_a_majority_and_who_has_no_leader_has_none():
    assert has_majority(manager([]))
    assert not has_majority(manager(ALONE))


def test_while_the_managers_do_not_know_yet_nothing_is_decided():
    assert not has_majority(manager(LATE, ALONE))
    assert has_majority(manager(LATE, []))
    with pytest.raises(WaitTimeoutError, match="deadline"):
        has_majority(manager(LATE), timeout_s=0)


def test_another_error_is_not_swallowed():
    with pytest.raises(APIError):
        has_majority(manager("permission denied"))
