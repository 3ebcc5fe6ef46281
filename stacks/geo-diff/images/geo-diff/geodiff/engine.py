"""
The calls of the Docker API that scaler and reaper make on their node's own socket.
"""

import http.client
import json
import socket
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

BUSY_UPDATES = {"updating", "rollback_started", "paused", "rollback_paused"}
OF_SERVICE, OF_TASK = "com.docker.swarm.service.name", "com.docker.swarm.task.id"
TIMEOUT_S = 10


class DockerError(ConnectionError):
    """
    Docker refused or failed.
    """


@dataclass(frozen=True)
class Service:
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
    addresses: tuple[str, ...]


class _Connection(http.client.HTTPConnection):
    """
    HTTP over a Unix socket.
    """

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.host)


def _call(docker_socket: str, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
    connection = _Connection(docker_socket, timeout=TIMEOUT_S)
    connection.host = docker_socket
    data = None if body is None else json.dumps(body).encode()
    headers = {"Host": "docker", "Content-Type": "application/json"}
    try:
        # no version in the path: the engine uses its own
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException) as exc:
        raise DockerError(f"{method} {path}: {exc!r}") from exc
    finally:
        connection.close()
    if answer.status >= HTTPStatus.BAD_REQUEST:
        reason = text.decode(errors="replace").strip()[:200]
        raise DockerError(f"{method} {path}: {answer.status} {reason}")
    return json.loads(text) if text else None


def _filters(**filters: list[str]) -> str:
    names = {name.replace("_", "-"): values for name, values in filters.items()}
    return urllib.parse.urlencode({"filters": json.dumps(names)})


def get_service(docker_socket: str, name: str) -> Service:
    service = _call(docker_socket, "GET", f"/services/{name}")
    return Service(
        int(service["Version"]["Index"]),
        service["Spec"],
        service.get("UpdateStatus", {}).get("State", ""),
    )


def scale(docker_socket: str, name: str, service: Service, replicas: int) -> None:
    """
    Set the number of replicas of the service as it was read.

    Docker refuses if the service has changed since: read it again, and undo nothing.
    """
    spec = {**service.spec, "Mode": {"Replicated": {"Replicas": replicas}}}
    _call(docker_socket, "POST", f"/services/{name}/update?version={service.version}", spec)


def find_tasks(docker_socket: str, service: str) -> list[Task]:
    """
    Return the tasks of a service that should be running.
    """
    wanted = _filters(service=[service], desired_state=["running"])
    return [_task(record) for record in _call(docker_socket, "GET", f"/tasks?{wanted}")]


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
        addresses=tuple(addresses),
    )


def _time(text: str) -> datetime:
    """
    Read RFC 3339 with Docker's nine digits of a second.
    """
    seconds, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{seconds}.{(fraction + '000000')[:6]}+00:00")


def kill_task(docker_socket: str, service: str, task_id: str) -> int:
    """
    Send SIGKILL to the container of a task of this service on this node; return how many there
    were, 0 or 1.
    """
    ours = _filters(label=[f"{OF_TASK}={task_id}", f"{OF_SERVICE}={service}"])
    containers = _call(docker_socket, "GET", f"/containers/json?{ours}")
    for container in containers:
        _call(docker_socket, "POST", f"/containers/{container['Id']}/kill?signal=SIGKILL")
    return len(containers)
