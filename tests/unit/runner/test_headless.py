"""
Which runs hold the lock of their cluster, and what stops them once it is lost.
"""

from contextlib import nullcontext

import pytest

from runbook_lib.notebook.templates import find_notebooks
from runbook_lib.runner.headless import _guarded
from tests.places import ROOT


class Running:
    def __init__(self):
        self.reasons = []

    def stop(self, reason):
        self.reasons.append(reason)


def guarded(*numbers, values=None, running=()):
    """What the guard was called with; None if it was not."""
    calls = []

    def guard(known, stop):
        calls.append((known, stop))
        return nullcontext()

    notebooks = [n for n in find_notebooks(ROOT / "notebooks") if n.number in numbers]
    assert len(numbers) == len(notebooks)
    with _guarded(guard, notebooks, values or {}, running):
        pass
    return calls[0] if calls else None


@pytest.mark.parametrize("numbers", [("00",), ("11",), ("11", "12")])
def test_a_run_that_changes_nothing_in_aws_takes_no_lock(numbers):
    """00 looks; 11 and 12 read a recording."""
    assert guarded(*numbers) is None


@pytest.mark.parametrize("numbers", [("00", "01"), ("90",), ("10",), ("40",)])
def test_every_other_run_holds_it_with_the_values_of_its_notebooks(numbers):
    known, _ = guarded(*numbers, values={"cluster": "mine"})
    assert ("mine", "us-east-1") == (known["cluster"], known["region"])


def test_a_lost_lock_stops_the_running_notebook_and_waits_for_one_between_two():
    running = []
    _, stop = guarded("01", running=running)
    assert not stop("lost")
    running.append(Running())
    assert stop("lost")
    assert ["lost"] == running[0].reasons
