"""
Waiting with a time limit, and an error with the last state seen.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from runbook_lib.core.errors import WaitTimeoutError
from runbook_lib.core.progress import Progress

T = TypeVar("T")


@dataclass(frozen=True)
class Pending:
    """
    An unfinished state: what the probe saw, and `done` of `total` if it can be counted.
    """

    seen: str
    done: int = 0
    total: int = 0


def wait_for(
    what: str,
    probe: Callable[[], T | Pending],
    *,
    timeout_s: float,
    poll_s: float = 0.5,
    next_step: str = "",
) -> T:
    """
    Call `probe` until its result is not `Pending`, and return that result.

    Raises WaitTimeoutError after `timeout_s`, with what the last probe saw. Errors of `probe`
    itself pass through.
    """
    deadline = time.monotonic() + timeout_s
    with Progress(what) as progress:
        while True:
            state = probe()
            if not isinstance(state, Pending):
                return state
            progress.update(state.seen, state.done, state.total)
            if time.monotonic() >= deadline:
                raise WaitTimeoutError(
                    f"Timed out after {timeout_s:g} s waiting for: {what}. Last seen: {state.seen}",
                    next_step=next_step or "run this notebook again: it continues where it stopped",
                )
            time.sleep(poll_s)


def wait_seconds(what: str, seconds: float) -> None:
    """
    Let a time pass, and show how much of it is left.
    """
    until = time.monotonic() + seconds
    with Progress(what) as progress:
        while (left_s := until - time.monotonic()) > 0:
            progress.update(f"{left_s:.0f} s left", int(seconds - left_s), int(seconds))
            time.sleep(min(0.5, left_s))


def wait_until_none(
    what: str, find: Callable[[], list[str]], *, timeout_s: float, poll_s: float = 0.5
) -> list[str]:
    """
    Call `find` until it returns an empty list; after `timeout_s`, return what is left.

    For a notebook that checks the rest itself; `wait_for` would raise an error.
    """
    deadline = time.monotonic() + timeout_s
    with Progress(what) as progress:
        while (left := find()) and time.monotonic() < deadline:
            progress.update(", ".join(left))
            time.sleep(poll_s)
    return left
