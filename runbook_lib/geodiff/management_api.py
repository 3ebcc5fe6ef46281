"""
RabbitMQ's management API through the SSH connection, cheap enough to poll every second.
"""

import base64
import http.client
import json
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
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Queue:
    """
    The API's figures for one queue: current messages, and three counters since the broker's start.
    """

    name: str
    ready: int
    unacknowledged: int
    published: int
    delivered: int
    acknowledged: int
    consumers: int

    @property
    def messages(self) -> int:
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
        entries = self._call("GET", f"/api/queues/%2F?disable_stats=false&columns={_COUNTERS}")
        counters = [entry.get("message_stats", {}) for entry in entries]  # none if never used
        return [
            Queue(
                name=entry["name"],
                ready=entry.get("messages_ready", 0),
                unacknowledged=entry.get("messages_unacknowledged", 0),
                published=stats.get("publish", 0),
                delivered=stats.get("deliver_get", 0),
                acknowledged=stats.get("ack", 0),
                consumers=entry.get("consumers", 0),
            )
            for entry, stats in zip(entries, counters, strict=True)
        ]

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
        return json.loads(body) if body else None

    def _request(self, method: str, path: str) -> tuple[int, bytes]:
        try:
            self._tunnel.request(method, path, headers=self._headers)
            response = self._tunnel.getresponse()
            return response.status, response.read()
        except BaseException:  # interrupts, too: a partial response must not reach the next request
            self._tunnel.close()
            raise


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
