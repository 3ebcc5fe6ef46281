"""
The figures of `docker stats` for a container, read from their source: cgroups and /proc.

Standard library only, for Python 3.8: the text of this file runs on every node, as part of
the agent that `node_stream` sends. Requesting the same numbers from the engine costs several times
as much.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

STACK, SERVICE = "com.docker.stack.namespace", "com.docker.swarm.service.name"


class Container:
    """
    A running container, and the location of its counters in the kernel.
    """

    def __init__(self, inspected: dict[str, Any]) -> None:
        self.id = inspected["Id"][:12]
        self.pid = inspected["State"]["Pid"]
        labels = inspected["Config"].get("Labels") or {}
        name = labels.get(SERVICE, inspected["Name"].lstrip("/"))
        stack = labels.get(STACK, "")
        self.service = name[len(stack) + 1 :] if stack and name.startswith(stack + "_") else name
        self.groups = cgroups(Path(f"/proc/{self.pid}/cgroup").read_text())
        self.before: tuple[float, float] | None = None

    def sample(self) -> list[Any]:
        """
        Return one row: id, service, cpu_percent, memory, limit, net in and out, block in and out,
        pids.
        """
        now = time.monotonic()
        cpu_s, memory, limit, read, written, pids = (
            _counters_2(self.groups[""]) if "" in self.groups else _counters_1(self.groups)
        )
        received, sent = network(Path(f"/proc/{self.pid}/net/dev").read_text())
        percent = None  # no interval yet
        if self.before:
            percent = round((cpu_s - self.before[1]) / (now - self.before[0]) * 100, 3)
        self.before = (now, cpu_s)
        return [
            self.id, self.service, percent, memory, limit, received, sent, read, written, pids
        ]  # fmt: skip


def cgroups(text: str) -> dict[str, str]:
    """
    Parse each controller's folder from /proc/<pid>/cgroup; "" is the only hierarchy of version 2.
    """
    found = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            folder = f"/sys/fs/cgroup/{controller}{path}".replace("//", "/")
            if controller or Path(folder, "cpu.stat").exists():
                found[controller] = folder
    # both at once: version 1 with an empty version 2 tree, as created by systemd
    return {"": found[""]} if "memory" not in found else found


def _read(path: str) -> str:
    with open(path) as file:  # noqa: PTH123 - once a file a second: pathlib takes twice as long
        return file.read()


def _field(text: str, name: str) -> int:
    return next((int(v) for k, v in (ln.split() for ln in text.splitlines()) if k == name), 0)


def _counters_1(groups: dict[str, str]) -> tuple[float, int, int, int, int, int]:
    memory, blkio = groups["memory"], groups["blkio"]
    read = written = 0
    for line in _read(f"{blkio}/blkio.throttle.io_service_bytes").splitlines():
        words = line.split()
        read += int(words[2]) if len(words) == 3 and words[1] == "Read" else 0
        written += int(words[2]) if len(words) == 3 and words[1] == "Write" else 0
    cache = _field(_read(f"{memory}/memory.stat"), "total_inactive_file")
    return (
        int(_read(f"{groups['cpuacct']}/cpuacct.usage")) / 1e9,
        int(_read(f"{memory}/memory.usage_in_bytes")) - cache,
        _limit(_read(f"{memory}/memory.limit_in_bytes")),
        read,
        written,
        int(_read(f"{groups['pids']}/pids.current")),
    )


def _counters_2(folder: str) -> tuple[float, int, int, int, int, int]:
    sums = {"rbytes": 0, "wbytes": 0}
    for line in _read(f"{folder}/io.stat").splitlines():
        for word in line.split()[1:]:
            name, _, value = word.partition("=")
            if name in sums:
                sums[name] += int(value)
    cache = _field(_read(f"{folder}/memory.stat"), "inactive_file")
    return (
        _field(_read(f"{folder}/cpu.stat"), "usage_usec") / 1e6,
        int(_read(f"{folder}/memory.current")) - cache,
        _limit(_read(f"{folder}/memory.max")),
        sums["rbytes"],
        sums["wbytes"],
        int(_read(f"{folder}/pids.current")),
    )


def _limit(text: str) -> int:
    # a container without a limit has the machine's memory
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return whole if text.strip() == "max" else min(int(text), whole)


def network(text: str) -> tuple[int, int]:
    """
    Sum bytes received and sent over all interfaces except loopback, from /proc/<pid>/net/dev.
    """
    received = sent = 0
    for line in text.splitlines()[2:]:
        name, _, counters = line.partition(":")
        if name.strip() != "lo":
            words = counters.split()
            received, sent = received + int(words[0]), sent + int(words[8])
    return received, sent


def ancestors(pid: int) -> list[int]:
    """
    Return a process and its exclusive parents: sudo, the shell, this connection's sshd process.
    """
    chain: list[int] = []
    while pid > 1:
        parent = int(_read(f"/proc/{pid}/stat").rpartition(")")[2].split()[1])
        if parent == 1 and chain:  # the main sshd, shared by all connections
            break
        chain.append(pid)
        pid = parent
    return chain


def cpu_s(pids: list[int]) -> float:
    """
    Sum the CPU seconds that the processes have used so far.
    """
    ticks = 0
    for pid in pids:
        words = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")
