"""
The Docker API of an instance, through its open SSH connection.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import docker
import fabric
from docker.transport.sshconn import SSHConnection, SSHConnectionPool, SSHHTTPAdapter
from paramiko import SSHException
from requests import PreparedRequest, RequestException, Response
from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError

from runbook_lib.core.errors import CommandError
from runbook_lib.core.parallel import for_each
from runbook_lib.hosts.liveness import name_of, open_watched, why_lost
from runbook_lib.hosts.ssh import run_all

_OLDEST, _NEWEST = "1.41", "1.44"
"""API versions of Docker 20.10 and 25; the client uses the newest one that the engine supports."""
_DROPPED = ("node lost leader status", "context deadline exceeded")
_LEADER_CHANGE_S, _AGAIN_S = 30.0, 0.5
"""Time for a leader change: Raft elects one within 10 to 19 s."""


def docker_client(connection: fabric.Connection, timeout_s: int = 120) -> docker.DockerClient:
    """
    Return a Docker client that uses an open SSH connection with a verified host key.

    The SDK's own `ssh://` reads ~/.ssh/config and opens another connection; here each request is a
    channel of the open one that runs `docker system dial-stdio` on the host.
    """
    client = docker.DockerClient(base_url="http://docker.invalid:1", version=_OLDEST)
    adapter = _Adapter(connection, timeout_s)
    client.api.timeout = timeout_s
    client.api.mount("http+docker://ssh", adapter)
    client.api.base_url = "http+docker://ssh"
    client.api._custom_adapter = adapter
    spoken = client.api.version(api_version=False)["ApiVersion"]
    client.api._version = min(spoken, _NEWEST, key=lambda v: [int(part) for part in v.split(".")])
    return client


def find_docker_clients(
    connections: Mapping[str, fabric.Connection],
) -> dict[str, docker.DockerClient]:
    """
    Open a Docker client for each host that has an engine.
    """
    look = "command -v dockerd || true"  # in root's PATH, not in the user's
    paths = run_all("Engines found", dict(connections), look, sudo=True)
    present = {name: connections[name] for name, path in paths.items() if path}
    return for_each("Engines opened", present, docker_client)


class _Channel(SSHConnection):
    def __init__(self, connection: fabric.Connection, timeout_s: int) -> None:
        super().__init__(None, timeout_s, connection.host)
        self._connection = connection

    def connect(self) -> None:
        # a connection that was closed, because its host was silent, is opened again
        open_watched(self._connection)
        channel = self._connection.transport.open_session(timeout=self.timeout)
        channel.settimeout(self.timeout)
        channel.exec_command("sudo -n docker system dial-stdio")
        self.sock = channel

    def getresponse(self) -> HTTPResponse:
        # a stream, such as a build's output, is read after the request has been answered
        response = super().getresponse()
        caught = response._error_catcher

        @contextmanager
        def named() -> Iterator[None]:
            with _naming(self._connection, "its answer"), caught():
                yield

        response._error_catcher = named
        return response


class _Pool(SSHConnectionPool):
    def __init__(self, connection: fabric.Connection, timeout_s: int, size: int) -> None:
        super().__init__(None, timeout_s, size)
        self._connection = connection

    def _new_conn(self) -> _Channel:
        return _Channel(self._connection, self.timeout)

    def _get_conn(self, timeout: float | None = None) -> _Channel:
        while True:
            connection: _Channel = super()._get_conn(timeout)
            channel = getattr(connection, "sock", None)
            if channel is None or not channel.closed:
                return connection


class _Adapter(SSHHTTPAdapter):
    """
    An adapter with one pool for all requests: the SDK uses one per URL, sshd allows 10 sessions.

    While its leader changes, a Swarm drops requests or lets them time out. They are sent again if
    that is harmless: a GET, or an update with the version that it changes.
    """

    def __init__(self, connection: fabric.Connection, timeout_s: int) -> None:
        super().__init__("ssh://", timeout=timeout_s, shell_out=True)
        self._connection = connection
        self._pool = _Pool(connection, timeout_s, self.max_pool_size)

    def get_connection(self, url: str, proxies: object = None) -> _Pool:
        return self._pool

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:  # noqa: ANN401 - as in the base class
        deadline = time.monotonic() + _LEADER_CHANGE_S
        while True:
            with _naming(self._connection, f"{request.method} {request.path_url[:80]}"):
                response = super().send(request, *args, **options)
            if not _was_dropped(request, response) or time.monotonic() >= deadline:
                return response
            time.sleep(_AGAIN_S)


@contextmanager
def _naming(connection: fabric.Connection, asked: str) -> Iterator[None]:
    # the SDK's own errors call every host "localhost"
    try:
        yield
    except (RequestException, HTTPError, SSHException, OSError, EOFError) as error:
        if isinstance(error, CommandError):
            raise
        name = name_of(connection)
        raise CommandError(
            f"expected Docker on {name} to answer; it did not",
            evidence=f"{asked}: {why_lost(connection) or error or type(error).__name__}",
            next_step=f"look at {name}:  systemctl status docker ; reboot it if it hangs, then "
            "run this notebook again",
        ) from error


def _was_dropped(request: PreparedRequest, response: Response) -> bool:
    is_harmless = request.method == "GET" or "version=" in (request.url or "")
    failed = is_harmless and response.status_code in (500, 503)
    return failed and any(words in response.text for words in _DROPPED)
