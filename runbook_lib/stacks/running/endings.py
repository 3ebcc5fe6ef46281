"""
Tasks that ended and that Swarm does not start again: completed, or given up.

Source: `ShouldRestart` in `manager/orchestrator/restart` of moby/swarmkit. It shuts a task down and
creates the next one in one transaction: a place without a next task stays empty.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Task = dict[str, Any]

_OVER = ("failed", "rejected", "complete")


@dataclass(frozen=True)
class Endings:
    """
    `complete`: those that did their work. `given_up`: the error of one that failed; `is_certain`
    if its attempts are used up by count, too.
    """

    complete: list[Task]
    given_up: str = ""
    is_certain: bool = False


def find_endings(
    current: Sequence[Task],
    asked: Sequence[Task],
    template: Mapping[str, Any],
    place: str,
    final: Collection[str],
) -> Endings:
    """
    Find what ended among the current tasks of a service.

    Parameters
    ----------
    asked
        The tasks that Swarm wants to run.
    place
        What a task takes: its "Slot", or its "NodeID" in a global service.
    final
        The states after which a task is not started again, because its work is done.
    """
    policy = template.get("RestartPolicy") or {}
    attempts, is_once = policy.get("MaxAttempts") or 0, policy.get("Condition") == "none"
    taken = {task.get(place) for task in asked}
    complete = [task for task in current if task["Status"]["State"] in final]
    taken |= {task.get(place) for task in complete}
    failures: list[Task] = []
    for left in {task.get(place) for task in current} - taken if is_once or attempts else ():
        its = [t for t in current if t.get(place) == left and t["Status"]["State"] in _OVER]
        failures = max(failures, its, key=len)
    if not failures:
        return Endings(complete)
    status = failures[-1]["Status"]
    words = status.get("Err") or f"task: {status['State']}"
    return Endings(
        complete, f"{words}, it is not started again", is_once or len(failures) > attempts
    )


def stays_complete(template: Mapping[str, Any]) -> bool:
    """
    Check whether a task that completed is not started again: a one-shot service.
    """
    return (template.get("RestartPolicy") or {}).get("Condition") in ("none", "on-failure")
