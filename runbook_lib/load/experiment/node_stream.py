"""
A node's agent, started over the open SSH connection; its lines become rows of tables.
"""

import inspect
import json
import shlex
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import fabric

from runbook_lib.core.errors import CommandError
from runbook_lib.hosts.agents import container_counters, stats
from runbook_lib.load.recordings.latency import latency_rows

Sink = Callable[[str, tuple[Any, ...]], None]
"""A function that receives the name of a recording's table, and a row."""

_START = """
import json, sys, types
for name, source in json.loads(sys.stdin.readline()).items():
    sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), sys.modules[name].__dict__)
sys.modules[name].main()
"""
_PROGRAM = {m.__name__: inspect.getsource(m) for m in (container_counters, stats)}
_ANSWER_S = 30.0
_LONGEST_LINE = 4_000_000  # characters; a container of a sample takes 200


class NodeStream:
    """
    The samples, events and records of one node, passed to a sink as they arrive.

    A sample is skipped if the node was too busy to take it in time, and lost if the stream broke
    off.

    Parameters
    ----------
    role
        The node's role; it becomes the column `node`.
    roles
        Roles by hostname, because workers report hostnames.
    plan
        Options of the agent: `period_s`, `since` (epoch), `services` whose records are collected.
    """

    def __init__(
        self,
        role: str,
        connection: fabric.Connection,
        *,
        roles: Mapping[str, str],
        plan: Mapping[str, Any],
        sink: Sink,
    ) -> None:
        self.role = role
        self.ticks = self.skipped = self.lost = 0
        self.ended = ""
        self._roles, self._sink, self._period_s = roles, sink, float(plan["period_s"])
        self._next, self._span = 0, [0.0, 0.0, 0.0, 0.0]
        self._stopping = False
        self._first = threading.Event()
        self._channel = connection.create_session()
        self._channel.settimeout(_ANSWER_S)
        # higher priority than containers: late samples on a busy node would show our own delay
        self._channel.exec_command(f"sudo -n nice -n -5 python3 -c {shlex.quote(_START)}")
        for value in (_PROGRAM, dict(plan)):
            self._channel.sendall((json.dumps(value) + "\n").encode())
        self._thread = threading.Thread(target=self._listen, name=f"samples of {role}", daemon=True)
        self._thread.start()

    def wait_for_first(self) -> None:
        """
        Wait for the first sample.

        Raises CommandError if the agent could not start.
        """
        self._first.wait(_ANSWER_S)
        if not self.ticks:
            raise CommandError(
                f"expected samples from the agent on {self.role}; none came",
                evidence=self.ended or f"it was silent for {_ANSWER_S:g} s",
                next_step=f"make  sudo -n python3 -V  work on {self.role}, then run this again",
            )

    @property
    def cpu_percent(self) -> float:
        """
        The CPU use of the agent and its sshd; 100 is one CPU.
        """
        began, first_s, last, last_s = self._span
        return (last_s - first_s) / (last - began) * 100 if last > began else 0.0

    def stop(self, now: float) -> None:
        """
        End the agent, read its last lines, and count the samples lost by a broken stream.
        """
        self._stopping = True
        if self.ended:
            self.lost = max(0, int((now - self._span[2]) / self._period_s))
        self._channel.shutdown_write()
        self._thread.join(5)
        self._channel.close()

    def _listen(self) -> None:
        try:
            file = self._channel.makefile("r")
            for line in iter(lambda: file.readline(_LONGEST_LINE), ""):
                self._take(json.loads(line))
        except Exception as error:
            self.ended = f"{type(error).__name__}: {error}"[:500]
        if not self._stopping and not self.ended:
            # paramiko reads bytes, whatever the mode
            errors = self._channel.makefile_stderr("rb").read(_LONGEST_LINE).strip().splitlines()
            why = errors[-1][:500].decode(errors="replace") if errors else ""
            self.ended = why or "the connection was closed"
        if self._stopping:
            self.ended = ""
        self._first.set()

    def _take(self, line: dict[str, Any]) -> None:
        if "tick" in line:
            self._sample(line)
        elif "event" in line:
            event = line["event"]
            name = (event["kind"], event["action"], event["name"])
            self._sink("events", (_time(event["time"]), self.role, *name))
        elif line["record"] == "decision":
            names = ("published_per_s", "load", "light", "running", "wanted", "batch")
            time = datetime.fromisoformat(line["time"])
            self._sink("autoscaler", (time, *(line[name] for name in names)))
        elif line["record"] == "worker":
            node = self._roles.get(line["node"], line["node"])
            time = datetime.fromisoformat(line["time"])
            self._sink("workers", (time, line["task"], node, line["tiles_done"]))
        elif line["record"] == "latency":
            for row in latency_rows(line, self.role):
                self._sink("latencies", row)

    def _sample(self, line: dict[str, Any]) -> None:
        self.skipped += line["tick"] - self._next
        self._next = line["tick"] + 1
        time, cpu_s = line["time"], line["cpu_s"]
        if not self.ticks:
            self._span[:2] = time, cpu_s
        self._span[2:] = time, cpu_s
        for container, service, *values in line["rows"]:
            self._sink("stats", (_time(time), self.role, service, container, *values))
        self.ticks += 1
        self._first.set()


def _time(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)
