"""
Convergence of a Swarm service to its specification: replicated, global or one-shot.

The command line gets this wrong in known ways: it hangs on one-shot services (docker/cli#5299),
and exits 0 after a rollback (docker/cli#6752).
"""

from dataclasses import dataclass
from typing import Any

import docker

_WORDS = {
    "no suitable node": "no node fits its placement or has room for its reservations",
    "No such image": "its image is not in the registry that the node asked",
    "port already in use": "its published port is taken on that node",
}


@dataclass(frozen=True)
class Convergence:
    """
    The state of one service; `failure` is the reason why it will not converge by itself.

    `starting`: the number of tasks about to run, without an error.
    """

    service: str
    mode: str
    image: str
    running: int
    starting: int
    wanted: int
    reason: str
    failure: str

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
    spec = service.attrs["Spec"]
    tasks = manager.api.tasks(filters={"service": service.name})
    mode = next(iter(spec["Mode"]))
    running = [t for t in tasks if t["DesiredState"] == t["Status"]["State"] == "running"]
    current = [t for t in running if _is_current(t, spec)]
    asked = [t for t in tasks if t["DesiredState"] in ("running", "ready")]
    states = [t["Status"] for t in asked]
    starting = [s for s in states if s["State"] != "running" and not s.get("Err")]
    update = service.attrs.get("UpdateStatus", {})
    reasons = sorted({_reason(t) for t in asked})
    if len(current) < len(asked):
        reasons += _failures(tasks)
    if update.get("State") == "updating":
        reasons.append("updating")
    if mode == "Replicated":
        wanted = spec["Mode"]["Replicated"]["Replicas"]
    elif mode == "Global":
        wanted = len([t for t in tasks if t["DesiredState"] == "running"])
    else:
        wanted = spec["Mode"][mode].get("TotalCompletions", 1)
        current = [t for t in tasks if t["Status"]["State"] == "complete"]
    return Convergence(
        service=str(service.name),
        mode=mode.lower(),
        image=spec["TaskTemplate"]["ContainerSpec"]["Image"].split("@")[0],
        running=len(current),
        starting=len(starting),
        wanted=max(wanted, 1) if mode == "Global" else wanted,
        reason="; ".join(filter(None, reasons)),
        failure=_failure(update),
    )


def _is_current(task: dict[str, Any], spec: dict[str, Any]) -> bool:
    its, wanted = task["Spec"], spec["TaskTemplate"]
    if its.get("ContainerSpec") != wanted["ContainerSpec"]:
        return False
    return bool(its.get("ForceUpdate", 0) == wanted.get("ForceUpdate", 0))


def _reason(task: dict[str, Any]) -> str:
    state = task["Status"]["State"]
    if state == "running":
        return ""
    message = task["Status"].get("Err") or task["Status"].get("Message", "")
    words = next((text for key, text in _WORDS.items() if key in message), "")
    return f"{state}: {words + ' - ' if words else ''}{message}"


def _failures(tasks: list[dict[str, Any]]) -> list[str]:
    failed = [t for t in tasks if t["Status"]["State"] in ("failed", "rejected")]
    errors = sorted({str(t["Status"].get("Err", "")) for t in failed})
    return [f"failed {len(failed)} times before: {'; '.join(errors)}"] if failed else []


def _failure(update: dict[str, Any]) -> str:
    state = str(update.get("State", ""))
    if state == "paused" or state.startswith("rollback"):
        return f"update {state}: {update.get('Message', '')}"
    return ""
