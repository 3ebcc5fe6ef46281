"""
RabbitMQ, asked in two ways, for what each knows best; neither needs a port open to the world.

Its command line inside the container counts the messages now, of any broker: what is to be empty
is judged by it. The management API keeps counters since the broker started, a second old, at a cost
low enough for every second; it is reached through the SSH connection.
"""

import base64
import http.client
import json
import re
import urllib.parse
from dataclasses import dataclass
from typing import Any

import docker
import fabric
import pandas as pd
from paramiko import SSHException

from runbook_lib.core.errors import CommandError, NotFoundError
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.stacks.containers import get_container, read_secret, run_in

PORT = 15672
USER = "geodiff"
_DEPTHS = ("name", "messages", "messages_ready", "messages_unacknowledged", "consumers")
_COUNTERS = (
    "name,messages_ready,messages_unacknowledged,consumers,"
    "message_stats.publish,message_stats.deliver_get,message_stats.ack"
)
_TIMEOUT_S = 10.0


def rabbitmqctl(engine: docker.DockerClient, service: str, *command: str) -> Any:  # noqa: ANN401 - whatever JSON it prints
    """
    The JSON that a command prints, in the broker's container on this engine's node.
    """
    container = get_container(engine, service, "run 06_work_stack")
    text = run_in(container, ["rabbitmqctl", "--quiet", "--formatter", "json", *command])
    return json.loads(re.sub(r"^[^\[{]*", "", text))  # warnings come first


def wait_until_idle(
    engine: docker.DockerClient, service: str, queues: list[str], timeout_s: float = 120
) -> pd.DataFrame:
    """
    Wait until the named queues hold no message, neither ready nor unacknowledged.

    Columns: name, messages, messages_ready, messages_unacknowledged, consumers. Without queues to
    wait for, the broker is not asked, and the table is empty.
    """

    def probe() -> pd.DataFrame | Pending:
        table = pd.DataFrame(rabbitmqctl(engine, service, "list_queues", *_DEPTHS), columns=_DEPTHS)
        busy = table[table["name"].isin(queues) & (table["messages"] > 0)]
        if len(busy):
            depths = zip(busy["name"], busy["messages"], strict=True)
            return Pending(", ".join(f"{name}: {messages}" for name, messages in depths))
        return table.sort_values("name", ignore_index=True)

    if not queues:
        return pd.DataFrame(columns=_DEPTHS)
    return wait_for("Queues are empty", probe, timeout_s=timeout_s, poll_s=2)


def backlog(depths: pd.DataFrame, queues: list[str]) -> int:
    """
    How many messages the named queues hold.

    Raises
    ------
    NotFoundError
        Where the broker has no queue of that name.
    """
    known = set(depths["name"])
    if missing := [queue for queue in queues if queue not in known]:
        raise NotFoundError(
            f"expected the queues {', '.join(queues)}; the broker has no {', '.join(missing)}",
            evidence=f"it has {', '.join(sorted(known)) or 'none'}",
            next_step="correct `queues`",
        )
    return int(depths[depths["name"].isin(queues)]["messages"].sum())


@dataclass(frozen=True)
class Queue:
    """
    One queue as the API counts it: messages now, and three counters since the broker started.
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
        Those that the queue holds, ready or unacknowledged.
        """
        return self.ready + self.unacknowledged


class ManagementApi:
    """
    A connection that is kept open; the password stays in memory.
    """

    def __init__(self, connection: fabric.Connection, password: str) -> None:
        token = base64.b64encode(f"{USER}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {token}"}
        self._tunnel = _Tunnel(connection)

    def queues(self) -> list[Queue]:
        """
        Every queue; CommandError where the API does not answer.
        """
        found = self._call("GET", f"/api/queues/%2F?disable_stats=false&columns={_COUNTERS}")
        return [_queue(entry) for entry in found]

    def purge(self, queue: str) -> None:
        """
        Throw away the messages of a queue that are ready.
        """
        self._call("DELETE", f"/api/queues/%2F/{urllib.parse.quote(queue, safe='')}/contents")

    def close(self) -> None:
        self._tunnel.close()

    def _call(self, method: str, path: str) -> Any:  # noqa: ANN401 - whatever JSON it answers
        try:
            try:
                status, body = self._request(method, path)
            except (OSError, EOFError, http.client.HTTPException):
                # RabbitMQ closes a connection that was idle for five seconds
                status, body = self._request(method, path)
        except (OSError, EOFError, http.client.HTTPException, SSHException) as error:
            raise CommandError(
                f"expected RabbitMQ's management API to answer on port {PORT} of the manager",
                evidence=f"{method} {path.partition('?')[0]}: {error or type(error).__name__}",
                next_step="docker service logs geo-diff-work_rabbitmq  on the manager",
            ) from error
        if status not in (200, 204):
            raise CommandError(
                f"expected RabbitMQ's management API to allow {method} {path.partition('?')[0]}",
                evidence=f"{status} {body[:200].decode(errors='replace')}",
            )
        return json.loads(body) if body else None

    def _request(self, method: str, path: str) -> tuple[int, bytes]:
        try:
            self._tunnel.request(method, path, headers=self._headers)
            response = self._tunnel.getresponse()
            return response.status, response.read()
        except BaseException:  # an interrupt too: half an answer must not meet the next request
            self._tunnel.close()
            raise


def open_management_api(
    connection: fabric.Connection, manager: docker.DockerClient, service: str
) -> ManagementApi:
    """
    Reach the broker of a service that runs on the manager, or behind its proxy there.
    """
    step = "run 06_work_stack: it makes the secrets that are missing"
    return ManagementApi(connection, read_secret(manager, service, "rabbitmq_password", step))


class _Tunnel(http.client.HTTPConnection):
    """
    HTTP over a channel of the SSH connection, as `ssh -L` makes one.
    """

    def __init__(self, connection: fabric.Connection) -> None:
        super().__init__("127.0.0.1", PORT)
        self._connection = connection

    def connect(self) -> None:
        channel = self._connection.transport.open_channel(
            "direct-tcpip", (self.host, self.port), ("127.0.0.1", 0), timeout=_TIMEOUT_S
        )
        channel.settimeout(_TIMEOUT_S)
        self.sock = channel


def _queue(entry: dict[str, Any]) -> Queue:
    counters = entry.get("message_stats", {})  # a queue that was never used has none
    return Queue(
        name=entry["name"],
        ready=entry.get("messages_ready", 0),
        unacknowledged=entry.get("messages_unacknowledged", 0),
        published=counters.get("publish", 0),
        delivered=counters.get("deliver_get", 0),
        acknowledged=counters.get("ack", 0),
        consumers=entry.get("consumers", 0),
    )
