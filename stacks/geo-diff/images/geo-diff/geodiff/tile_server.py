"""
The tile server: the API behind gunicorn, in one process with a few threads.

A client that sends slowly would keep a thread to itself: in the stack only the gate connects.
"""

import logging
import socket
from collections.abc import Callable, Mapping

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.http.errors import LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.workers.gthread import ThreadWorker

from geodiff.tile_api import create_app
from geodiff.tile_settings import TileServerSettings, tile_server_settings

log = logging.getLogger(__name__)

# The kernel takes a whole tile at once, so that no thread waits for a slow reader.
SEND_BUFFER_BYTES = 256 * 1024
SCRATCH = "/tmp"  # noqa: S108 - the container's own tmpfs, all that it can write

REFUSAL = (
    "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    "Cache-Control: no-store\r\nContent-Length: {length}\r\n\r\n{body}"
)


class Worker(ThreadWorker):
    """
    gunicorn's threads. Requests that are not HTTP also get JSON, and are not logged: anybody could
    fill the disk.
    """

    def init_process(self) -> None:
        for listener in self.sockets:
            # its connections inherit it
            listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        super().init_process()

    def handle_error(
        self, req: object, client: socket.socket, addr: object, exc: BaseException
    ) -> None:
        status, body = "400 Bad Request", '{"error":"this is no HTTP request"}'
        if isinstance(exc, LimitRequestLine):
            status, body = "414 URI Too Long", '{"error":"the address is too long"}'
        elif isinstance(exc, LimitRequestHeaders):
            status = "431 Request Header Fields Too Large"
            body = '{"error":"the headers are too long or too many"}'
        elif not isinstance(exc, ParseException):
            log.error("a request failed", exc_info=exc)
            status, body = "500 Internal Server Error", '{"error":"internal error"}'
        try:
            client.sendall(REFUSAL.format(status=status, length=len(body), body=body).encode())
        except OSError:
            log.debug("gone before the answer")


class Server(BaseApplication):
    """
    gunicorn, configured by the service's settings instead of by a file.
    """

    def __init__(self, settings: TileServerSettings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in options(self._settings).items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return create_app(self._settings)


def options(settings: TileServerSettings) -> dict[str, object]:
    """
    Return gunicorn's settings.

    One process, because there is one CPU to use; threads rather than gevent, which was a tenth
    quicker and brings 11 MB of compiled code.
    """
    return {
        "bind": f"0.0.0.0:{settings.port}",
        "workers": 1,
        "worker_class": Worker,
        "threads": settings.threads,
        "keepalive": 75,
        "graceful_timeout": 15,
        "worker_tmp_dir": SCRATCH,
        "control_socket_disable": True,
        "limit_request_line": 2048,
        # the gate sets no headers: a client's must not set the path or the scheme
        "forwarder_headers": "",
        "forwarded_allow_ips": "",
        "loglevel": "error",
        "when_ready": _ready,
        "on_exit": _stopped,
    }


def _ready(arbiter: Arbiter) -> None:
    log.info("listening on %s", ", ".join(str(listener) for listener in arbiter.LISTENERS))


def _stopped(_: Arbiter) -> None:
    log.info("tile-server stopped")


def prepare(environ: Mapping[str, str]) -> Callable[[], None]:
    return Server(tile_server_settings(environ)).run
