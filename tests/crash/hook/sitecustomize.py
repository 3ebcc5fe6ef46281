"""
Kill this process at its first effect that no process before it was killed at.

Python itself loads this in every process whose PYTHONPATH has this folder. An effect is a call that
changes EC2, a host, Docker or the Swarm; it is known by what it is, without ids and addresses, so
that each is met once: the next run goes on, does it again or finds it done, and dies at the next.

CRASH_LOG  a file of the effects so far, one JSON line each; this process adds its last one
CRASH_MOST how many there may be in that file; then nothing is killed any more
CRASH_ONLY a pattern of effects; the others are left alone
"""

import hashlib
import importlib.abc
import importlib.machinery
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

_LOG = os.environ.get("CRASH_LOG", "")
_MOST = int(os.environ.get("CRASH_MOST", "1000000"))
_ONLY = re.compile(os.environ.get("CRASH_ONLY", ""))
_LOCK = threading.Lock()
_LATER_S = 0.3  # into a request or a command, rather than before it

_LOOKS = re.compile(r"^(Describe|Get|List|Head|Assume|Simulate|Lookup)")
_HARMLESS = re.compile(
    r"system dial-stdio|command -v dockerd \|\| true|json\.loads\(sys\.stdin"
    r"|is-system-running|/proc/uptime"
)
# what differs from run to run: ids, addresses, times, tokens, temporary names
_VARYING = re.compile(
    r"\b(?:i|sg|vol|sgr|eni|key|ami)-[0-9a-f]{8,}\b|\b[0-9a-f]{12,64}\b|\b[a-z0-9]{25}\b"
    r"|\d+\.\d+\.\d+\.\d+(?:/\d+)?|\d{10,}(?:\.\d+)?|\bAAAA[\w+/=]+|[\w+/]{40,}={0,2}"
    r"|\b(?:worker|manager|admin)-\w+"
)


def _same(text: str) -> str:
    return _VARYING.sub("*", text)


def effect(kind: str, what: str, moment: str) -> None:
    """
    Die here, unless an earlier process did.
    """
    key = f"{kind} {_same(what)[:160]} ({moment})"
    if not _ONLY.search(key):
        return
    with _LOCK:
        path = Path(_LOG)
        known = path.read_text().splitlines() if path.exists() else []
        if len(known) >= _MOST or key in (json.loads(line)["effect"] for line in known):
            return
        with path.open("a") as file:
            file.write(json.dumps({"effect": key, "at": time.time()}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if parent := os.environ.get("JPY_PARENT_PID"):  # the runner of this kernel dies with it
            os.kill(int(parent), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)


def _soon(kind: str, what: str) -> None:
    timer = threading.Timer(_LATER_S, effect, (kind, what, "during"))
    timer.daemon = True
    timer.start()


def _watch_botocore(module: object) -> None:
    client = module.BaseClient
    call = client._make_api_call

    def counted(self: object, name: str, given: dict) -> object:
        answer = call(self, name, given)
        if not _LOOKS.match(name) and not given.get("DryRun"):
            effect(self.meta.service_model.service_name, name, "after")
        return answer

    client._make_api_call = counted


def _watch_requests(module: object) -> None:
    session = module.Session
    send = session.send

    def counted(self: object, request: object, **options: object) -> object:
        path = re.sub(r"^\w+\+docker://[^/]*/(v[\d.]+/)?", "", request.url).partition("?")[0]
        if request.method in ("GET", "HEAD") or "docker://" not in request.url:
            return send(self, request, **options)
        _soon("docker", f"{request.method} {path}")
        answer = send(self, request, **options)
        effect("docker", f"{request.method} {path}", "after")
        return answer

    session.send = counted


def _watch_paramiko(module: object) -> None:
    channel = module.Channel
    execute, ended = channel.exec_command, channel.recv_exit_status

    def counted(self: object, command: str) -> None:
        execute(self, command)
        if not _HARMLESS.search(command):
            self.crash_name = _named(command)
            _soon("ssh", self.crash_name)

    def finished(self: object) -> int:
        code = ended(self)
        if name := getattr(self, "crash_name", ""):
            effect("ssh", name, "after")
        return code

    channel.exec_command, channel.recv_exit_status = counted, finished


def _named(command: str) -> str:
    # a script is known by its hash; a person sees its first words
    text = _same(command)
    words = re.sub(r"^(sudo (-n )?)?bash -euo pipefail -c ", "", text)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{digest} {' '.join(words.split())[:70]}"


_WATCHED: dict[str, Callable[[object], None]] = {
    "botocore.client": _watch_botocore,
    "requests.sessions": _watch_requests,
    "paramiko.channel": _watch_paramiko,
}


class _Finder(importlib.abc.MetaPathFinder):
    """
    Changes those modules as they are imported; the product has no hook of its own.
    """

    def find_spec(self, name: str, path: object, target: object = None) -> object:
        if name not in _WATCHED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        load = spec.loader.exec_module

        def exec_module(module: object) -> None:
            load(module)
            _WATCHED[name](module)

        spec.loader.exec_module = exec_module
        return spec


if _LOG:
    sys.meta_path.insert(0, _Finder())
