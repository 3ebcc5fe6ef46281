"""
The part of the Docker API that the autoscaler needs, through the proxy that allows no more.
"""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

BUSY_UPDATES = {"updating", "rollback_started", "paused", "rollback_paused"}


class DockerError(ConnectionError):
    """
    Docker, or the proxy in front of it, refused or failed.
    """


@dataclass(frozen=True)
class Service:
    id: str
    version: int
    spec: Mapping[str, Any]
    update_state: str

    @property
    def replicas(self) -> int:
        return int(self.spec["Mode"]["Replicated"].get("Replicas", 1))

    @property
    def is_busy(self) -> bool:
        """
        Whether a deployment is under way or paused half-way, so that the service must not be
        changed.
        """
        return self.update_state in BUSY_UPDATES


@dataclass(frozen=True)
class Task:
    id: str
    node_id: str
    state: str
    since: datetime
    container_id: str
    addresses: tuple[str, ...]


def _call(base: str, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://{base}{path}",  # no version in the path: the engine uses its own
        data=data,
        method=method,
        headers={"Content-Type": "application/json"},
    )
    # ProxyHandler({}): proxies of the environment are not for the overlay network
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            text = answer.read()
    except urllib.error.HTTPError as exc:
        reason = exc.read().decode(errors="replace").strip()[:200]
        raise DockerError(f"{method} {path}: {exc.code} {reason}") from exc
    except OSError as exc:
        raise DockerError(f"{method} {path} at {base}: {exc}") from exc
    return json.loads(text) if text else None


def get_service(base: str, name: str) -> Service:
    service = _call(base, "GET", f"/services/{name}")
    return Service(
        service["ID"],
        int(service["Version"]["Index"]),
        service["Spec"],
        service.get("UpdateStatus", {}).get("State", ""),
    )


def scale(base: str, name: str, service: Service, replicas: int) -> None:
    """
    Set the number of replicas of the service as it was read.

    Docker refuses if the service has changed since: read it again, and undo nothing.
    """
    spec = {**service.spec, "Mode": {"Replicated": {"Replicas": replicas}}}
    _call(base, "POST", f"/services/{name}/update?version={service.version}", spec)


def find_tasks(base: str, service: str) -> list[Task]:
    """
    Return the tasks of a service that should be running.
    """
    filters = json.dumps({"service": [service], "desired-state": ["running"]})
    tasks = _call(base, "GET", f"/tasks?{urllib.parse.urlencode({'filters': filters})}")
    return [_task(record) for record in tasks]


def _task(record: Mapping[str, Any]) -> Task:
    status = record["Status"]
    addresses = (
        address.partition("/")[0]
        for attachment in record.get("NetworksAttachments") or ()
        for address in attachment.get("Addresses") or ()
    )
    return Task(
        id=record["ID"],
        node_id=record.get("NodeID", ""),
        state=status["State"],
        since=_time(status["Timestamp"]),
        container_id=status.get("ContainerStatus", {}).get("ContainerID", ""),
        addresses=tuple(addresses),
    )


def _time(text: str) -> datetime:
    """
    Read RFC 3339 with Docker's nine digits of a second.
    """
    seconds, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{seconds}.{(fraction + '000000')[:6]}+00:00")


def kill_container_of(base: str, task: Task) -> None:
    """
    Send SIGKILL to the container, after checking that it is this task's.
    """
    container = _call(base, "GET", f"/containers/{task.container_id}/json")
    owner = container["Config"]["Labels"].get("com.docker.swarm.task.id")
    if owner != task.id:
        raise DockerError(f"container {task.container_id[:12]} is of task {owner}, not {task.id}")
    _call(base, "POST", f"/containers/{task.container_id}/kill?signal=SIGKILL")
