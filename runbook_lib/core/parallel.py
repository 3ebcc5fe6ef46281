"""
The same work on many hosts at once; every failure is collected before an error is raised.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from runbook_lib.core.errors import CommandError
from runbook_lib.core.progress import Progress

K = TypeVar("K")
V = TypeVar("V")


def for_each(
    what: str, items: Mapping[str, K], work: Callable[[K], V], *, at_once: int = 0
) -> dict[str, V]:
    """
    Run `work` on every item in a thread of its own, all or so many at once; the result has the keys
    of `items`.

    Raises CommandError after all have finished, with the name and error of every failed item.
    """
    if not items:
        return {}
    results: dict[str, V] = {}
    errors: dict[str, Exception] = {}
    with Progress(what) as progress, ThreadPoolExecutor(at_once or len(items)) as pool:
        running = {pool.submit(work, item): name for name, item in items.items()}
        for future in as_completed(running):
            name = running[future]
            try:
                results[name] = future.result()
            except Exception as error:
                errors[name] = error
            waiting = ", ".join(n for n in items if n not in results and n not in errors)
            done = len(results) + len(errors)
            progress.update(f"{done} of {len(items)}; waiting for {waiting}", done, len(items))
    if errors:
        raise CommandError(
            f"{what}: {len(results)} of {len(items)} succeeded; failed: {', '.join(errors)}",
            evidence="\n".join(f"{name}: {error}" for name, error in errors.items()),
            next_step="fix the hosts listed above, then run this notebook again",
        ) from next(iter(errors.values()))
    return {name: results[name] for name in items}
