"""
Waiting, always with a limit, and with an error that says what was seen last.
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
    Not yet: what the probe saw instead, and `done` of `total` where it can be counted.
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
    Call `probe` until its answer is not `Pending`, and return that answer.

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


def wait_until_none(
    what: str, find: Callable[[], list[str]], *, timeout_s: float, poll_s: float = 0.5
) -> list[str]:
    """
    Call `find` until it returns nothing; after `timeout_s`, return what it still finds.

    For a notebook that checks itself what is left, where `wait_for` would raise.
    """
    deadline = time.monotonic() + timeout_s
    with Progress(what) as progress:
        while (left := find()) and time.monotonic() < deadline:
            progress.update(", ".join(left))
            time.sleep(poll_s)
    return left
