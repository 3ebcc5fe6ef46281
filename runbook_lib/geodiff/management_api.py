"""
RabbitMQ's management API through the SSH connection, cheap enough to poll every second.
"""

import base64
import http.client
import json
import math
import urllib.parse
from dataclasses import dataclass
from typing import Any

import docker
import fabric
from paramiko import SSHException

from runbook_lib.core.errors import CommandError
from runbook_lib.stacks.running.containers import read_secret

PORT = 15672
USER = "geodiff"
_COUNTERS = (
    "name,messages_ready,messages_unacknowledged,consumers,"
    "message_stats.publish,message_stats.deliver_get,message_stats.ack"
)
_STATS = ("publish", "deliver_get", "ack")
_HIGHEST = 2**63
_TIMEOUT_S = 10.0
_LARGEST = 16_000_000  # bytes; a queue takes about 200
_LONGEST_NAME = 255  # of a queue, in AMQP


@dataclass(frozen=True)
class Queue:
    """
    The API's figures for one queue: current messages, and three counters since the broker's start;
    NaN for a figure that the broker does not know.
    """

    name: str
    ready: float
    unacknowledged: float
    published: float
    delivered: float
    acknowledged: float
    consumers: float

    @property
    def messages(self) -> float:
        """
        The messages in the queue, ready or unacknowledged.
        """
        return self.ready + self.unacknowledged


class ManagementApi:
    """
    A persistent connection; the password stays in memory.
    """

    def __init__(self, connection: fabric.Connection, password: str) -> None:
        token = base64.b64encode(f"{USER}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}"}
        self._tunnel = _Tunnel(connection)

    def queues(self) -> list[Queue]:
        """
        Return every queue; raise CommandError if the API does not respond.
        """
        path = f"/api/queues/%2F?disable_stats=false&columns={_COUNTERS}"
        return [_queue(entry) for entry in _entries(self._call("GET", path))]

    def purge(self, queue: str) -> None:
        """
        Discard the ready messages of a queue.
        """
        self._call("DELETE", f"/api/queues/%2F/{urllib.parse.quote(queue, safe='')}/contents")

    def close(self) -> None:
        self._tunnel.close()

    def _call(self, method: str, path: str) -> Any:  # noqa: ANN401 - any JSON value
        try:
            try:
                status, body = self._request(method, path)
            except (OSError, EOFError, http.client.HTTPException):
                # RabbitMQ closes connections after five idle seconds
                status, body = self._request(method, path)
        except (OSError, EOFError, http.client.HTTPException, SSHException) as error:
            raise CommandError(
                f"expected RabbitMQ's management API to answer on port {PORT} of the manager",
                evidence=f"{method} {path.partition('?')[0]}: {error or type(error).__name__}",
                next_step="docker service logs geo-diff-work_rabbitmq  on the manager",
            ) from error
        if status not in (200, 204):
            raise CommandError(
                f"expected RabbitMQ's management API to allow {method} {path.partition('?')[0]}, "
                f"it answered {status}",
                evidence=body[:200].decode(errors="replace"),
            )
        try:
            return json.loads(body) if body else None
        except (ValueError, RecursionError) as error:
            raise _unlike(f"{error}; it begins: {body[:200].decode(errors='replace')}") from error

    def _request(self, method: str, path: str) -> tuple[int, bytes]:
        try:
            self._tunnel.request(method, path, headers=self._headers)
            response = self._tunnel.getresponse()
            body = response.read(_LARGEST)
            if not response.isclosed():  # longer: the rest must not reach the next request
                self._tunnel.close()
        except BaseException:  # interrupts, too: a partial response must not reach the next request
            self._tunnel.close()
            raise
        return response.status, body


def _entries(answer: Any) -> list[Any]:  # noqa: ANN401 - any JSON value
    """
    Return the queues of an answer; that of a proxy or a later version may come as pages.
    """
    if isinstance(answer, dict) and isinstance(items := answer.get("items"), list):
        counts = [answer.get(name) for name in ("total_count", "filtered_count")]
        total = next((n for n in counts if isinstance(n, int)), len(items))
        if total > len(items) or answer.get("page_count") not in (None, 0, 1):
            raise _unlike(f"a page of {len(items)} queues of {total}")
        return items
    if not isinstance(answer, list):
        raise _unlike(f"it begins: {json.dumps(answer)[:200]}")
    return answer


def _queue(entry: Any) -> Queue:  # noqa: ANN401 - any JSON value
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(name, str) or len(name) > _LONGEST_NAME:
        raise _unlike(f"an entry: {json.dumps(entry)[:200]}")
    # a queue that was never used has no counters, and one that the broker lost sight of null
    stats = entry.get("message_stats", {})
    stats = dict.fromkeys(_STATS, 0) | stats if isinstance(stats, dict) else {}
    published, delivered, acknowledged = (_count(stats.get(key)) for key in _STATS)
    return Queue(
        name=name,
        ready=_count(entry.get("messages_ready", 0)),
        unacknowledged=_count(entry.get("messages_unacknowledged", 0)),
        published=published,
        delivered=delivered,
        acknowledged=acknowledged,
        consumers=_count(entry.get("consumers", 0)),
    )


def _count(value: Any) -> float:  # noqa: ANN401 - any JSON value
    is_count = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_count and 0 <= value < _HIGHEST else math.nan


def _unlike(evidence: str) -> CommandError:
    return CommandError(
        f"expected queues from RabbitMQ's management API on port {PORT} of the manager; it "
        "answered something else",
        evidence=evidence[:1000],
        next_step="see who answers there:  docker service ps geo-diff-work_rabbitmq  on the "
        "manager, and what its log says:  docker service logs geo-diff-work_rabbitmq",
    )


def open_management_api(
    connection: fabric.Connection, manager: docker.DockerClient, service: str
) -> ManagementApi:
    """
    Connect to a service's broker on the manager, or behind its proxy there.
    """
    step = "run 06_work_stack: it makes the secrets that are missing"
    return ManagementApi(connection, read_secret(manager, service, "rabbitmq_password", step))


class _Tunnel(http.client.HTTPConnection):  # over an SSH channel, like `ssh -L`
    def __init__(self, connection: fabric.Connection) -> None:
        super().__init__("127.0.0.1", PORT)
        self._connection = connection

    def connect(self) -> None:
        channel = self._connection.transport.open_channel(
            "direct-tcpip", (self.host, self.port), ("127.0.0.1", 0), timeout=_TIMEOUT_S
        )
        channel.settimeout(_TIMEOUT_S)
        self.sock = channel
