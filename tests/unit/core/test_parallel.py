"""
Work on many hosts at once: all results in order, all failures together.
"""

import threading
import time

import pytest

from runbook_lib.core.errors import CommandError
from runbook_lib.core.parallel import for_each


def test_results_keep_the_order_of_the_hosts():
    assert [("b", 2), ("a", 4)] == list(
        for_each("double", {"b": 1, "a": 2}, lambda n: n * 2).items()
    )


def test_an_empty_list_is_no_error():
    assert {} == for_each("nothing", {}, lambda n: n)


def test_the_hosts_work_at_the_same_time():
    together = threading.Barrier(3, timeout=10)
    for_each("meet", {"a": 1, "b": 2, "c": 3}, lambda _: together.wait())


def test_no_more_work_at_the_same_time_than_they_may():
    """Builds share the memory of one small machine."""
    room = threading.Semaphore(2)

    def work(_: int) -> bool:
        if not room.acquire(blocking=False):
            return False
        time.sleep(0.02)
        room.release()
        return True

    assert {True} == {*for_each("meet", dict.fromkeys("abcdef", 0), work, at_once=2).values()}


def test_every_failure_is_named_after_all_have_finished():
    done = []

    def work(number):
        if number < 3:
            raise ValueError(f"no {number}")
        done.append(number)

    with pytest.raises(CommandError) as caught:
        for_each("install", {"a": 1, "b": 2, "c": 3}, work)
    first, *evidence = str(caught.value).splitlines()
    assert "install: 1 of 3 succeeded; failed: " in first
    assert {"  a: no 1", "  b: no 2"} <= set(evidence)
    assert [3] == done


def test_one_that_never_ends_is_named_after_its_limit_and_the_others_count():
    over = threading.Event()
    with pytest.raises(CommandError) as caught:
        for_each("wait", {"a": 1, "b": 2}, lambda n: n == 2 and over.wait(60), limit_s=0.5)
    over.set()

    assert str(caught.value).splitlines()[:2] == [
        "wait: 1 of 2 succeeded; failed: b",
        "  b: not finished within 0.5 s",
    ]


def test_what_has_not_begun_at_the_limit_never_begins():
    """Its failure is told by then, and the next run may be at work."""
    begun = []

    def work(name):
        begun.append(name)
        time.sleep(0.4)

    with pytest.raises(CommandError, match="failed: a, b"):
        for_each("wait", {"a": "a", "b": "b"}, work, at_once=1, limit_s=0.1)
    time.sleep(0.6)
    assert ["a"] == begun
