"""
An engine behind HTTP, for what the Docker SDK itself does: it is the real one.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import docker

Answer = Callable[[str, Any, bytes], tuple[int, Any]]


@contextmanager
def engine_of(answer: Answer) -> Iterator[docker.DockerClient]:
    """
    A client of an engine that says `answer(path and query, headers, body)`: a status and JSON.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(self.path).removeprefix("/v1.43")
            code, content = answer(path, self.headers, self._body())
            body = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = docker.DockerClient(f"tcp://127.0.0.1:{server.server_port}", version="1.43")
    try:
        yield client
    finally:
        client.close()
        server.shutdown()
        server.server_close()
