"""
Waiting ends: with the answer, with the probe's error, or with what was last seen.
"""

from types import SimpleNamespace

import pytest

from runbook_lib.core import wait
from runbook_lib.core.errors import WaitTimeoutError
from runbook_lib.core.wait import Pending, wait_for, wait_seconds, wait_until_none


def test_the_answer_is_whatever_is_not_pending():
    answers = iter([Pending("0 of 2"), Pending("1 of 2", 1, 2), "both"])
    assert "both" == wait_for("two", lambda: next(answers), timeout_s=5, poll_s=0)


def test_a_fixed_time_shows_what_is_left_of_it(monkeypatch):
    now, seen = [100.0], []
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda s: now.append(now.pop() + s))
    monkeypatch.setattr(wait, "time", clock)
    monkeypatch.setattr(wait.Progress, "update", lambda _, *state: seen.append(state))
    wait_seconds("an outage", 1.25)
    assert ([101.25], [("1 s left", 0, 1), ("1 s left", 0, 1), ("0 s left", 1, 1)]) == (now, seen)


def test_an_empty_answer_is_an_answer():
    assert [] == wait_for("a list", list, timeout_s=0)


def test_the_limit_tells_what_was_last_seen_and_what_to_do():
    with pytest.raises(WaitTimeoutError) as caught:
        wait_for("two nodes", lambda: Pending("1 of 2"), timeout_s=0, next_step="look")
    assert "Timed out after 0 s waiting for: two nodes. Last seen: 1 of 2\n  next: look" == str(
        caught.value
    )


def test_an_error_of_the_probe_passes_through():
    with pytest.raises(ZeroDivisionError):
        wait_for("nothing", lambda: 1 // 0, timeout_s=5)


def test_what_goes_in_time_is_none():
    looks = iter([["a disk", "a group"], ["a disk"], []])
    assert [] == wait_until_none("gone", lambda: next(looks), timeout_s=5, poll_s=0)


def test_what_stays_is_returned_for_the_check_to_judge():
    assert ["a disk"] == wait_until_none("gone", lambda: ["a disk"], timeout_s=0)
