"""
The agent that deploys a stack on the manager, or records what a deployment would do.

Standard library only, for Python 3.10: the instance's own python3 runs the text of this file as
root, and nothing is left behind. The request is JSON on standard input, because a stack is longer
than an argument may be and can hold passwords; the answer is JSON on standard output.

Docker's own command line always speaks to a socket of this program, which passes every GET on to
the engine. To record, it keeps every other request and answers it as the engine would; to deploy,
it passes them on too, except updates that change nothing: an update without a change still resets
the service's last specification and its update status, and runs a job again.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Json = dict[str, Any]

_PREFIX = "runbook-stack."
_NAMED = re.compile(r"/(secrets|configs)(?:/([^/]+))?")
_UPDATE = re.compile(r"/((?:services|secrets|configs)/[^/]+)/update")
_HOP = {"connection", "content-length", "transfer-encoding", "accept-encoding", "upgrade"}


class Recorder(ThreadingUnixStreamServer):
    """
    A Docker engine whose reads are real; its writes are recorded, or passed on.

    Parameters
    ----------
    engine
        The path of the real socket.
    existing
        Names of secrets and configs that will exist by the time of the deployment, by kind.
    unchanged
        Items (`services/ID`) whose updates are answered and not passed on; None records everything.
    """

    daemon_threads = True

    def __init__(
        self, path: str, engine: str, existing: Json, unchanged: list[str] | None = None
    ) -> None:
        super().__init__(path, _Call)
        self.engine = engine
        self.unchanged = unchanged
        self.calls: list[Json] = []
        self.made: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        for kind, names in existing.items():
            self.made += [(kind, name) for name in names]

    def handle_error(self, *_: object) -> None:
        """
        Ignore that the command line hung up: it ends with its own error.
        """

    def ask(self, method: str, path: str, headers: Json, body: bytes) -> tuple[int, Json, bytes]:
        """
        Pass a request on to the engine; return status, headers and body of its answer.
        """
        connection = http.client.HTTPConnection("docker", timeout=120)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(self.engine)
            connection.request(method, path, body or None, headers)
            answer = connection.getresponse()
            kept = {k: v for k, v in answer.getheaders() if k.lower() not in _HOP}
            return answer.status, kept, answer.read()
        finally:
            connection.close()

    def read(self, path: str, headers: Json, method: str) -> tuple[int, Json, bytes]:
        """
        Answer a read: the engine's answer, with the secrets and configs made so far.
        """
        status, kept, body = self.ask(method, path, headers, b"")
        url = urlsplit(path)
        match = _NAMED.fullmatch(_unversioned(url.path))
        if not match or self.unchanged is not None or method == "HEAD":
            return status, kept, body
        kind, name = match.groups()
        made = [self._item(n) for n, (of, _) in enumerate(self.made) if of == kind]
        if name is None and status == 200:
            wanted = json.loads(parse_qs(url.query).get("filters", ["{}"])[0]).get("name")
            listed = json.loads(body)
            present = {item["Spec"]["Name"] for item in listed}
            more = [m for m in made if wanted is None or m["Spec"]["Name"] in wanted]
            listed += [m for m in more if m["Spec"]["Name"] not in present]
            return status, kept, json.dumps(listed).encode()
        for item in made:
            if status == 404 and unquote(name or "") in (item["ID"], item["Spec"]["Name"]):
                return 200, kept, json.dumps(item).encode()
        return status, kept, body

    def write(self, method: str, path: str, headers: Json, body: bytes) -> tuple[int, Json, bytes]:
        """
        Record a write, and answer as the engine would; or pass it on.
        """
        url = urlsplit(path)
        target = _unversioned(url.path)
        update = _UPDATE.fullmatch(target)
        if self.unchanged is not None:
            if update and update[1] in self.unchanged:
                return 200, {}, b"{}"
            return self.ask(method, path, headers, body)
        content: Json = json.loads(body) if body else {}
        if update and (refusal := self._refusal(update[1], content)):
            return 400, {}, json.dumps({"message": refusal}).encode()
        if isinstance(content.get("Data"), str):
            content["Data"] = _digest(content["Data"])
        with self._lock:
            self.calls.append(
                {"method": method, "path": target, "query": url.query, "body": content}
            )
            if not target.endswith("/create"):
                return 200, {}, b"{}"
            self.made.append((target.split("/")[1], str(content.get("Name", ""))))
            made = self._item(len(self.made) - 1)["ID"]
            return 201, {}, json.dumps({"ID": made, "Id": made, "Warning": ""}).encode()

    def _item(self, number: int) -> Json:
        name = self.made[number][1]
        return {"ID": f"planned-{number + 1}", "Version": {"Index": 1}, "Spec": {"Name": name}}

    def _refusal(self, item: str, content: Json) -> str:
        # what the engine would say; a secret's value cannot be read, so it is not compared
        status, _, body = self.ask("GET", f"/{item}", {}, b"")
        if status != 200 or item.startswith("secrets/"):
            return ""
        live = json.loads(body)["Spec"]
        if item.startswith("configs/"):
            same = _digest(live.get("Data", "")) == _digest(content.get("Data", ""))
            return "" if same else "only updates to Labels are allowed"
        return (
            ""
            if set(live["Mode"]) == set(content["Mode"])
            else "service mode change is not allowed"
        )


class _Call(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Recorder

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
        try:
            if self.command in ("GET", "HEAD"):
                status, kept, answer = self.server.read(self.path, headers, self.command)
            else:
                status, kept, answer = self.server.write(self.command, self.path, headers, body)
        except OSError as error:
            status, kept = 502, {}
            answer = json.dumps(
                {"message": f"the engine at {self.server.engine}: {error}"}
            ).encode()
        self.send_response_only(status)
        for name, value in ({"Content-Type": "application/json"} | kept).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - named by http.server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        pass


def deploy(request: Json, folder: Path) -> Json:
    """
    Run `docker stack deploy` on the request's documents; return exit code, output, recorded calls.

    Without `unchanged` the calls are only recorded.
    """
    for name, content in request.get("files", {}).items():
        file = (folder / "stack" / name).resolve()
        if not file.is_relative_to(folder / "stack"):
            return {"code": 1, "output": f"expected a file inside the stack: {name}", "calls": []}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(content))
    (folder / "stack").mkdir(exist_ok=True)
    (folder / "docker").mkdir()
    (folder / "docker" / "config.json").write_text(json.dumps(request.get("docker_config") or {}))
    command = ["--prune", "--resolve-image", request["resolve"]]
    command += ["--with-registry-auth"] if request.get("docker_config") else []
    for number, document in enumerate(request["documents"]):
        # beside the files: Docker reads relative paths from the folder of the first document
        (folder / "stack" / f"{number}.runbook.yml").write_text(document)
        command += ["-c", f"{number}.runbook.yml"]
    command.append(request["name"])
    path = str(folder / "docker.sock")
    server = Recorder(
        path, request["socket"], request.get("existing", {}), request.get("unchanged")
    )
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
    environment = {**os.environ, "DOCKER_HOST": f"unix://{path}"}
    environment["DOCKER_CONFIG"] = str(folder / "docker")
    environment.pop("DOCKER_CONTEXT", None)
    try:
        code, output = _run(["--detach", *command], folder / "stack", environment, request)
        if "unknown flag: --detach" in output:  # before Docker 26, which never waited
            code, output = _run(command, folder / "stack", environment, request)
    except OSError as error:
        code, output = 127, f"docker cannot be run on the manager: {error.strerror}"
    finally:
        server.shutdown()
        server.server_close()
    return {"code": code, "output": output, "calls": server.calls}


def _run(command: list[str], folder: Path, environment: Json, request: Json) -> tuple[int, str]:
    process = subprocess.Popen(
        ["docker", "stack", "deploy", *command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=request["timeout_s"])
    except BaseException as error:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        return 124, f"docker stack deploy did not end within {request['timeout_s']:g} s"
    return process.returncode, output


def _unversioned(path: str) -> str:
    return re.sub(r"^/v[0-9.]+(?=/)", "", path)


def _digest(data: str) -> str:
    return f"sha256:{hashlib.sha256(base64.b64decode(data)).hexdigest()}" if data else ""


def _remove_left(where: Path) -> None:
    # a killed program leaves its folder, with logins and values; no deployment takes an hour
    for folder in where.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_mtime < time.time() - 3600:
                shutil.rmtree(folder)


def _main() -> int:
    def stop(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, stop)
    request = json.load(sys.stdin)
    where = "/run" if os.access("/run", os.W_OK) else None
    if where:
        _remove_left(Path(where))
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=where) as folder:
        answer = deploy(request, Path(folder).resolve())
    json.dump(answer, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
