"""
The agent that `node_stream` sends over SSH: it samples every container of its node.

Standard library only, for Python 3.8 (Ubuntu 20.04): the instance's own python3 runs it as
root, and nothing is left behind. Input: the plan, one line of JSON; output: lines of JSON. It ends
when its input does.

Samples are taken at a fixed rate, and buffered in memory while the connection is busy. Each has a
tick number, so that a reader can detect missed ticks. The engine is used only for changes: its
events, and the logs of services that log records.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
import urllib.parse
from typing import Any

from runbook_lib.hosts.agents.container_counters import Container, ancestors, cpu_s

SOCKET = "/var/run/docker.sock"
ACTIONS = ["create", "start", "die", "kill", "oom", "destroy", "update", "remove", "health_status"]
KINDS = ["container", "service", "node"]


class Agent:
    """
    An agent that samples at each tick, and forwards the engine's events and logs in between.
    """

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.containers: dict[str, Container] = {}
        self.tasks: set[asyncio.Future[None]] = set()
        self.out: asyncio.Queue[object] = asyncio.Queue()

    async def run(self) -> None:
        saying = asyncio.ensure_future(self._say())
        parts = [asyncio.ensure_future(p) for p in (_hang_up(), self._events(), self._tick())]
        done, _ = await asyncio.wait([saying, *parts], return_when=asyncio.FIRST_COMPLETED)
        self.out.put_nowait(None)
        await saying
        for part in done:
            part.result()  # raises the error that ended it

    async def _tick(self) -> None:
        period_s = self.plan["period_s"]
        began, number = time.monotonic(), 0
        chain = ancestors(os.getpid())
        while True:
            rows = []
            for full_id, container in list(self.containers.items()):
                try:
                    rows.append(container.sample())
                except (OSError, ValueError, KeyError):  # it ended during the sample
                    self.containers.pop(full_id, None)
            line = {"tick": number, "time": time.time(), "rows": rows, "cpu_s": cpu_s(chain)}
            self.out.put_nowait(line)
            elapsed = time.monotonic() - began
            number = max(number + 1, int(elapsed / period_s))
            await asyncio.sleep(number * period_s - elapsed)

    async def _events(self) -> None:
        # after an engine restart, continue from the last event
        wanted = urllib.parse.quote(json.dumps({"event": ACTIONS, "type": KINDS}))
        since = f"{time.time():.9f}"
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
                for listed in await ask("/containers/json"):
                    await self._take(listed["Id"])
                reader = await request(f"/events?since={since}&filters={wanted}")
                async for line in reader:
                    event = json.loads(line)
                    since = f"{event['timeNano'] / 1e9 + 1e-9:.9f}"
                    await self._hear(event)
            await asyncio.sleep(0.5)

    async def _hear(self, event: dict[str, Any]) -> None:
        actor = event["Actor"]
        name = actor["Attributes"].get("name", actor["ID"][:12])
        action = event["Action"]
        said = {"kind": event["Type"], "action": action, "name": name}
        self.out.put_nowait({"event": {**said, "time": event["timeNano"] / 1e9}})
        if event["Type"] == "container" and action == "start":
            await self._take(actor["ID"])
        if event["Type"] == "container" and action == "die":
            self.containers.pop(actor["ID"], None)

    async def _take(self, full_id: str) -> None:
        if full_id in self.containers:
            return
        with contextlib.suppress(OSError, ValueError, KeyError):  # it ended meanwhile
            inspected = await ask(f"/containers/{full_id}/json")
            container = self.containers[full_id] = Container(inspected)
            if container.service in self.plan["services"]:
                task = asyncio.ensure_future(self._follow(full_id))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)

    async def _follow(self, full_id: str) -> None:
        # a log line that is a JSON object with "record" is a record
        query = f"follow=1&stdout=1&since={self.plan['since']:.0f}"
        reader = await request(f"/containers/{full_id}/logs?{query}")
        rest = b""
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                header = await reader.readexactly(8)
                rest += await reader.readexactly(int.from_bytes(header[4:], "big"))
                *lines, rest = rest.split(b"\n")
                for line in lines:
                    if line.startswith(b'{"record"'):
                        self.out.put_nowait(json.loads(line))

    async def _say(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            said = await self.out.get()
            if said is None:
                return
            # in a thread: a busy connection must not delay the next tick
            await loop.run_in_executor(None, _write, json.dumps(said) + "\n")


def _write(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


async def request(path: str) -> asyncio.StreamReader:
    """
    Send a GET to the engine's socket, with HTTP 1.0 so that the body is not chunked.
    """
    reader, writer = await asyncio.open_unix_connection(SOCKET, limit=2**22)
    writer.write(f"GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise OSError(head.split(b"\r\n")[0].decode())
    reader.writer = writer  # type: ignore[attr-defined]  # or the socket would close
    return reader


async def ask(path: str) -> Any:  # noqa: ANN401 - any JSON value
    return json.loads(await (await request(path)).read())


async def _hang_up() -> None:
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    await reader.read()


def main() -> None:
    """
    Read the plan (period_s, since, services), then work until the input ends.
    """
    asyncio.run(Agent(json.loads(sys.stdin.readline())).run())
