"""
Waiting, always with a limit, and with an error that tells what was last seen.
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
    Not yet: what was seen instead, and how far it is (`done` of `total`, where countable).
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
    Call `probe` until it returns something other than `Pending`, and return that.

    Raises
    ------
    WaitTimeoutError
        After `timeout_s`, with what the last probe saw. Errors of `probe` itself pass through.
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
                    f"{what}: not so within {timeout_s:g} s; last seen: {state.seen}",
                    next_step=next_step or "run this notebook again: it goes on where it stopped",
                )
            time.sleep(poll_s)


def wait_until_none(
    what: str, look: Callable[[], list[str]], *, timeout_s: float, poll_s: float = 0.5
) -> list[str]:
    """
    Look until nothing is found; returns what the last look found: after `timeout_s` it may be some.

    For a check that is to judge what is left, where `wait_for` would judge by itself.
    """
    deadline = time.monotonic() + timeout_s
    with Progress(what) as progress:
        while (found := look()) and time.monotonic() < deadline:
            progress.update(", ".join(found))
            time.sleep(poll_s)
    return found
