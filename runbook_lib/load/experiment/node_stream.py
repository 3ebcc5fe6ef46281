"""
One node's agent at work: started over the SSH connection that is open, its lines turned into rows.
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

Sink = Callable[[str, tuple[Any, ...]], None]
"""Takes the name of a table of `recordings`, and a row of it."""

_START = """
import json, sys, types
for name, source in json.loads(sys.stdin.readline()).items():
    sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), sys.modules[name].__dict__)
sys.modules[name].main()
"""
_PROGRAM = {m.__name__: inspect.getsource(m) for m in (container_counters, stats)}
_ANSWER_S = 30.0


class NodeStream:
    """
    The samples, events and records of one node, handed to a sink as they come.

    A sample is skipped where the node was too busy to take it in time, and lost where the stream
    broke off.

    Parameters
    ----------
    role
        The node's role; it becomes the column `node`.
    roles
        Roles by hostname: a worker reports its node by that.
    plan
        What the agent is told: `period_s`, `since` (epoch), `services` whose records are wanted.
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
        # a node at its limit serves a little nicer: a late sample would measure our own lateness
        self._channel.exec_command(f"sudo -n nice -n -5 python3 -c {shlex.quote(_START)}")
        for value in (_PROGRAM, dict(plan)):
            self._channel.sendall((json.dumps(value) + "\n").encode())
        self._thread = threading.Thread(target=self._listen, name=f"samples of {role}", daemon=True)
        self._thread.start()

    def wait_for_first(self) -> None:
        """
        Return once the first sample is there.

        Raises
        ------
        CommandError
            Where the agent could not start.
        """
        self._first.wait(_ANSWER_S)
        if not self.ticks:
            raise CommandError(
                f"expected samples from the agent on {self.role}; none came",
                evidence=self.ended or f"it was silent for {_ANSWER_S:g} s",
                next_step=f"does  sudo -n python3 -V  work on {self.role}? then run this again",
            )

    @property
    def cpu_percent(self) -> float:
        """
        What the agent costs its node, with the sshd that carries it; 100 is one CPU.
        """
        began, first_s, last, last_s = self._span
        return (last_s - first_s) / (last - began) * 100 if last > began else 0.0

    def stop(self, now: float) -> None:
        """
        Let the agent end, take its last lines, and count what a stream that broke off has lost.
        """
        self._stopping = True
        if self.ended:
            self.lost = max(0, int((now - self._span[2]) / self._period_s))
        self._channel.shutdown_write()
        self._thread.join(5)
        self._channel.close()

    def _listen(self) -> None:
        try:
            for line in self._channel.makefile("r"):
                self._take(json.loads(line))
        except (OSError, ValueError) as error:
            self.ended = f"{type(error).__name__}: {error}"
        if not self._stopping and not self.ended:
            errors = self._channel.makefile_stderr("r").read().strip().splitlines()
            self.ended = errors[-1] if errors else "the connection was closed"
        if self._stopping:
            self.ended = ""
        self._first.set()

    def _take(self, said: dict[str, Any]) -> None:
        if "tick" in said:
            self._sample(said)
        elif "event" in said:
            event = said["event"]
            name = (event["kind"], event["action"], event["name"])
            self._sink("events", (_time(event["time"]), self.role, *name))
        elif said["record"] == "decision":
            names = ("published_per_s", "load", "light", "running", "wanted", "batch")
            self._sink("autoscaler", (_parsed(said["time"]), *(said[name] for name in names)))
        elif said["record"] == "worker":
            node = self._roles.get(said["node"], said["node"])
            row = (_parsed(said["time"]), said["task"], node, said["tiles_done"])
            self._sink("workers", row)

    def _sample(self, said: dict[str, Any]) -> None:
        self.skipped += said["tick"] - self._next
        self._next = said["tick"] + 1
        time, cpu_s = said["time"], said["cpu_s"]
        if not self.ticks:
            self._span[:2] = time, cpu_s
        self._span[2:] = time, cpu_s
        for container, service, *values in said["rows"]:
            self._sink("stats", (_time(time), self.role, service, container, *values))
        self.ticks += 1
        self._first.set()


def _time(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)


def _parsed(text: str) -> datetime:
    return datetime.fromisoformat(text)
