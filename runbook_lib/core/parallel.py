"""
The same work on many hosts at once; every failure is collected before an error is raised.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from runbook_lib.core.errors import CommandError
from runbook_lib.core.progress import Progress

K = TypeVar("K")
V = TypeVar("V")

LIMIT_S = 1500.0
"""Within a notebook's own limit in a headless run, whose error could not name the host."""


def for_each(
    what: str,
    items: Mapping[str, K],
    work: Callable[[K], V],
    *,
    at_once: int = 0,
    limit_s: float = LIMIT_S,
) -> dict[str, V]:
    """
    Run `work` on every item in a thread of its own, all or so many at once; the result has the keys
    of `items`.

    Raises CommandError after all have finished, with the name and error of every failed item. One
    that takes longer than `limit_s` has failed; its thread is left to itself.
    """
    if not items:
        return {}
    results: dict[str, V] = {}
    errors: dict[str, BaseException] = {}
    ended: queue.SimpleQueue[str] = queue.SimpleQueue()
    turns, over = threading.Semaphore(at_once or len(items)), threading.Event()

    def one(name: str, item: K) -> None:
        try:
            with turns:
                if not over.is_set():
                    results[name] = work(item)
        except BaseException as error:
            errors[name] = error
        finally:
            ended.put(name)

    threads = [
        threading.Thread(target=one, args=pair, name=f"{what}: {pair[0]}", daemon=True)
        for pair in items.items()
    ]
    deadline = time.monotonic() + limit_s
    waiting = dict.fromkeys(items)
    with Progress(what) as progress:
        for thread in threads:
            thread.start()
        try:
            while waiting:
                del waiting[ended.get(timeout=max(0, deadline - time.monotonic()))]
                done = len(items) - len(waiting)
                seen = f"{done} of {len(items)}; waiting for {', '.join(waiting)}"
                progress.update(seen, done, len(items))
        except queue.Empty:
            pass
        finally:  # after an interrupt, what restores must not meet what still works
            over.set()  # nor what has not begun
            for thread in threads:
                thread.join(max(0, deadline - time.monotonic()))
    late = {name: TimeoutError(f"not finished within {limit_s:g} s") for name in waiting}
    failed = {**errors, **late}
    if failed:
        good = len(items) - len(failed)
        raise CommandError(
            f"{what}: {good} of {len(items)} succeeded; failed: {', '.join(failed)}",
            evidence="\n".join(f"{name}: {error}" for name, error in failed.items()),
            next_step="fix the hosts listed above, then run this notebook again",
        ) from next(iter(failed.values()))
    return {name: results[name] for name in items}
