"""
Convergence of a Swarm service to its specification: services, one-shot services and jobs.

The command line gets this wrong in known ways: it waits for ever for a one-shot service
(docker/cli#5299), and exits 0 after a rollback (docker/cli#6752).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import docker
from docker.errors import APIError

from runbook_lib.stacks.running.endings import Task, find_endings, stays_complete
from runbook_lib.stacks.running.placement import (
    Node,
    constraints_of,
    find_matching,
    is_open,
    why_never,
)

NO_IMAGE = "No such image"
_WORDS = {
    "no suitable node": "no node fits its placement or has room for its reservations",
    NO_IMAGE: "its image is not in the registry that the node asked",
    "port already in use": "its published port is taken on that node",
}


@dataclass(frozen=True)
class Convergence:
    """
    The state of one service; `failure` is the reason why it will not converge by itself.

    `running` includes tasks that completed and are not started again; `starting` is the number of
    tasks about to run, without an error. `stuck` is a reason that does not go away by itself if it
    is still there after some seconds. `may_end`: a task runs that is not started again once it
    ended, so it may still turn out to be a failure.
    """

    service: str
    mode: str
    image: str
    running: int
    starting: int
    wanted: int
    reason: str
    failure: str
    stuck: str = ""
    may_end: bool = False

    @property
    def done(self) -> bool:
        return not self.failure and not self.reason and self.running >= self.wanted

    def __str__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        return f"{self.service} {self.running}/{self.wanted}{reason}"


def convergence(manager: docker.DockerClient, service: Any) -> Convergence:  # noqa: ANN401 - the stubs' Service lacks attrs
    """
    Compare the tasks of a service with its specification.
    """
    spec, update = service.attrs["Spec"], service.attrs.get("UpdateStatus") or {}
    template, mode = spec["TaskTemplate"], next(iter(spec["Mode"]))
    nodes = cache(manager.api.nodes)
    found = manager.api.tasks(filters={"service": service.name})
    tasks = [task for task in found if task["DesiredState"] != "remove"]  # scaled down
    if is_job := mode.endswith("Job"):
        tasks = current = _of_iteration(tasks, service.attrs.get("JobStatus"))
    else:
        current = [t for t in tasks if _is_current(t, template, nodes)]
    place = "NodeID" if mode.startswith("Global") else "Slot"
    final = ("complete",) if is_job or stays_complete(template) else ()
    alive = ("running", "ready", *("complete",) * is_job)
    asked = [t for t in tasks if t["DesiredState"] in alive and _state(t) not in final]
    ended = find_endings([t for t in current if t not in asked], asked, template, place, final)
    running = [] if is_job else [t for t in current if t["DesiredState"] == _state(t) == "running"]
    ready = len(running) + len(ended.complete)
    if place == "NodeID":
        wanted = _count_places(template, nodes(), [*asked, *ended.complete])
    else:
        wanted = _replicas(spec["Mode"][mode] or {})
    reasons = sorted({_reason(t) for t in asked})
    if len(running) < len(asked) or ended.given_up:
        reasons += _failures(tasks)
    if update.get("State") == "updating":
        reasons.append("updating")
    has_begun = bool(update) or not _is_replaced(service.attrs)
    if running and not has_begun:
        reasons.append("its update has not begun")
    if place == "NodeID" and not wanted:
        reasons.append("no node fits its placement (docker service ls: 0/0)")
        wanted = 1
    given_up = ended.given_up if len(asked) + len(ended.complete) < wanted else ""
    stuck = ""
    if ready < wanted:
        missing = next((_error(t) for t in current if NO_IMAGE in _error(t)), "")
        stuck = why_never(template, nodes()) or missing or given_up
    # a one-shot that ends while its update watches it counts as failed there, however well it ended
    is_early_end = update.get("State") == "paused" and 0 < wanted <= len(ended.complete)
    halted = "" if is_early_end else _failure(update)
    return Convergence(
        service=str(service.name),
        mode=mode.lower(),
        image=(template.get("ContainerSpec") or {}).get("Image", "").split("@")[0],
        running=ready,
        starting=len([t for t in asked if _state(t) != "running" and not _error(t)]),
        wanted=wanted,
        reason="; ".join(filter(None, reasons)),
        failure=halted or (given_up if ended.is_certain and has_begun else ""),
        stuck=stuck,
        may_end=bool(running) and stays_complete(template),
    )


def lacks_image(manager: docker.DockerClient, image: str) -> bool:
    """
    Check whether the registry answers the manager that it has no such image.

    A registry that does not answer may come back, for example after a failover.
    """
    try:
        manager.api.inspect_distribution(image)
    except APIError as error:
        return error.status_code in (401, 403, 404)
    return False


def _of_iteration(tasks: list[Task], status: Mapping[str, Any] | None) -> list[Task]:
    # Docker leaves the index of the first iteration out
    indexes = [(task.get("JobIteration") or {}).get("Index", 0) for task in tasks]
    known = (status or {}).get("JobIteration")
    now = max(indexes, default=0) if known is None else known.get("Index", 0)
    return [task for task, index in zip(tasks, indexes, strict=True) if index == now]


def _is_current(
    task: Task, template: Mapping[str, Any], nodes: Callable[[], Sequence[Node]]
) -> bool:
    """
    Check whether an update would leave the task alone, as Swarm's `IsTaskDirty` does: it compares
    the whole template, and keeps a task whose node meets a placement that alone is new.
    """
    # Docker 20.10 leaves the runtime out of a task
    runtime = {"Runtime": "container"}
    wanted = runtime | _without_blanks(template)
    # a task may lack the restart policy: it is the service's
    policy = {"RestartPolicy": wanted["RestartPolicy"]} if "RestartPolicy" in wanted else {}
    its = runtime | policy | _without_blanks(task["Spec"])
    if its == wanted:
        return True
    if {**its, "Placement": 0} != {**wanted, "Placement": 0}:
        return False
    own = [node for node in nodes() if node["ID"] == task.get("NodeID")]
    return bool(find_matching(own, constraints_of(template)))


def _without_blanks(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    # Swarm stores protobuf, where a field with its default value is no field
    if isinstance(value, Mapping):
        kept = {key: _without_blanks(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item or item is False}
    return [_without_blanks(item) for item in value] if isinstance(value, list) else value


def _is_replaced(attrs: Mapping[str, Any]) -> bool:
    """
    Check whether the last change was of ports or of the restart policy, which tasks do not show.

    Swarm clears the state of an update until it begins the next.
    """
    before, now = attrs.get("PreviousSpec"), attrs["Spec"]
    return before is not None and _hidden(before) != _hidden(now)


def _hidden(spec: Mapping[str, Any]) -> tuple[Any, Any]:
    policy = spec.get("TaskTemplate", {}).get("RestartPolicy")
    return _without_blanks(spec.get("EndpointSpec") or {}), _without_blanks(policy or {})


def _replicas(mode: Mapping[str, Any]) -> int:
    if "Replicas" in mode:
        return int(mode["Replicas"])
    return int(mode.get("TotalCompletions") or mode.get("MaxConcurrent") or 1)


def _count_places(template: Mapping[str, Any], nodes: Sequence[Node], tasks: list[Task]) -> int:
    """
    Count the nodes that a global service is to run on, including those that have a task of it.
    """
    matching = find_matching(nodes, constraints_of(template))
    used = {task.get("NodeID") or number for number, task in enumerate(tasks)}
    return len({node["ID"] for node in matching if is_open(node)} | used)


def _state(task: Task) -> str:
    return str(task["Status"]["State"])


def _error(task: Task) -> str:
    return str(task["Status"].get("Err") or "")


def _reason(task: Task) -> str:
    if _state(task) == "running":
        return ""
    message = _error(task) or task["Status"].get("Message", "")
    words = next((text for key, text in _WORDS.items() if key in message), "")
    return f"{_state(task)}: {words + ' - ' if words else ''}{message}"


def _failures(tasks: list[Task]) -> list[str]:
    failed = [t for t in tasks if _state(t) in ("failed", "rejected")]
    errors = sorted({_error(t) for t in failed})
    return [f"failed {len(failed)} times before: {'; '.join(errors)}"] if failed else []


def _failure(update: Mapping[str, Any]) -> str:
    state = str(update.get("State", ""))
    if state == "paused" or state.startswith("rollback"):
        return f"update {state}: {update.get('Message', '')}"
    return ""
