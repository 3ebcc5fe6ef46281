"""
The Engine API of a Swarm manager on a socket, as far as a deployment asks it: a Swarm in memory.

It stores what it is sent, as it is sent; it runs no task.
"""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Json = dict[str, Any]
KINDS = ("services", "networks", "secrets", "configs", "tasks", "nodes")
STACK = "com.docker.stack.namespace"


class EngineApi(ThreadingUnixStreamServer):
    """
    Lists of services, networks, secrets and configs; every write is kept in `writes`, too.

    `images` are the repository digests of its own images; `digests`, what names mean in a registry.
    """

    daemon_threads = True

    def __init__(self, path: Path, **listed: list[Json]) -> None:
        super().__init__(str(path), _Call)
        self.path = str(path)
        self.listed = {kind: listed.get(kind, []) for kind in KINDS}
        self.writes: list[tuple[str, str]] = []
        self.images: dict[str, list[str]] = {}
        self.digests: dict[str, str] = {}

    def handle_error(self, *_: object) -> None:
        """
        Ignore that a client hung up.
        """

    def read(self, path: str, filters: Json) -> tuple[int, object]:
        kind, _, name = path.partition("/")
        if kind == "_ping":
            return 200, {}
        if kind == "info":
            return 200, {"Swarm": {"ControlAvailable": True, "LocalNodeState": "active"}}
        name = unquote(name)
        asked = name.removesuffix("/json")
        if kind == "images" and asked in self.images:
            return 200, {"Id": "sha256:" + "1d" * 32, "RepoDigests": self.images[asked]}
        if kind == "distribution" and asked in self.digests:
            descriptor = {"digest": self.digests[asked], "mediaType": "x", "size": 1}
            return 200, {"Descriptor": descriptor, "Platforms": []}
        if kind in ("distribution", "images"):
            return 404, {"message": "no such image"}
        if kind in KINDS and not name:
            return 200, [item for item in self.listed[kind] if _matches(item, filters)]
        found = self._find(kind, name)
        return (200, found) if found else (404, {"message": f"no such {kind}: {name}"})

    def write(self, method: str, path: str, body: Json) -> tuple[int, Json]:
        self.writes.append((method, path))
        kind, _, rest = path.partition("/")
        if rest == "create":
            key = f"{kind}-{len(self.writes)}"
            plain = kind == "networks"  # has no specification of its own
            item = body if plain else {"Spec": body}
            self.listed[kind].append(item | {"ID": key, "Id": key, "Version": {"Index": 1}})
            return 201, {"ID": key, "Id": key}
        found = self._find(kind, rest.removesuffix("/update"))
        if method == "DELETE":
            self.listed[kind].remove(found)
        elif found:
            found["Spec"] = body
        return 200, {}

    def _find(self, kind: str, name: str) -> Json | None:
        listed = self.listed.get(kind, [])
        return next((i for i in listed if name in (i["ID"], i.get("Spec", i)["Name"])), None)


def _matches(item: Json, filters: Json) -> bool:
    labels = item.get("Spec", item).get("Labels") or {}
    asked = filters.get("label", [])
    return all(labels.get(STACK) == each.removeprefix(f"{STACK}=") for each in asked)


class _Call(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: EngineApi

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urlsplit(self.path)
        path = url.path.strip("/")
        path = path.partition("/")[2] if path.startswith("v1.") else path
        if self.command in ("GET", "HEAD"):
            filters = json.loads(parse_qs(url.query).get("filters", ["{}"])[0])
            status, content = self.server.read(path, filters)
        else:
            status, content = self.server.write(self.command, path, json.loads(body or b"{}"))
        answer = b"" if self.command == "HEAD" else json.dumps(content).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_HEAD = do_POST = do_DELETE = _answer  # noqa: N815 - named by http.server

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving(server: ThreadingUnixStreamServer) -> Iterator[Any]:
    """
    Serve until the end of the block.
    """
    threading.Thread(target=server.serve_forever, args=(0.01,)).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
