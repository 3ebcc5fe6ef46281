"""
What this host lacks for a lab, all of it at once, before anything is changed.
"""

from __future__ import annotations

import ipaddress
import platform
import shutil
import socket
import struct
from dataclasses import dataclass
from pathlib import Path

import psutil

from lab.commands.server_process import server_pids
from lab.core.config import LabConfig
from lab.core.errors import LabError
from lab.core.processes import command_line
from lab.engine import docker_engine, kernel
from lab.engine.dockerd import Daemon

INSTANCES = 6  # of type t2.micro, as in the guide
MEMORY_MIB = INSTANCES * 1024 + 1024  # their limits, and 1 GiB for the lab and the runbook
INOTIFY = INSTANCES * 8  # systemd and what it starts open seven in each of them
DISK_MIB = 12 * 1024  # images 1 GiB, sample 0.4 GiB, and each instance's Docker about 1.5 GiB
ROUTE_UP = 0x1


@dataclass(frozen=True)
class Finding:
    """
    One thing that the host lacks: what was expected, what was seen, what to do next.
    """

    expected: str
    seen: str
    next_step: str

    def __str__(self) -> str:
        return f"{self.expected}\n  seen: {self.seen}\n  next: {self.next_step}"


def require_ready(config: LabConfig, daemon: Daemon) -> None:
    """
    Raise one error that lists every finding.
    """
    if found := find_problems(config, daemon):
        raise LabError(
            "expected the host to be ready for a lab, but it is not:\n"
            + "\n".join(f"- {finding}" for finding in found)
        )


def find_problems(config: LabConfig, daemon: Daemon) -> list[Finding]:
    """
    Inspect the host; empty when a lab can start. Changes nothing.
    """
    is_up = config.lock_file.exists() and bool(server_pids(config.name))
    config.cache_dir.mkdir(parents=True, exist_ok=True)
    return [
        *_system(),
        *_engine(daemon),
        *_kernel(config.cache_dir),
        *([] if is_up else _memory()),
        *([] if is_up else _inotify()),
        *([] if is_up else _disk(config.cache_dir)),
        *([] if is_up else _port(config)),
        *_subnet(config),
    ]


def _check(is_so: bool, expected: str, seen: str, next_step: str) -> list[Finding]:
    return [] if is_so else [Finding(expected, seen, next_step)]


def _system() -> list[Finding]:
    system, machine = platform.system(), platform.machine()
    return _check(
        system == "Linux" and machine in {"x86_64", "AMD64"},
        "Linux on x86_64",
        f"{system} on {machine}",
        "use a Linux machine or VM",
    )


def _engine(daemon: Daemon) -> list[Finding]:
    search = docker_engine.find_engine(daemon)
    problem = None if search.engine else docker_engine.private_engine_problem(search)
    if problem is None:
        return []
    return [Finding("a Docker engine, or root to start one", problem.evidence, problem.next_step)]


def _kernel(folder: Path) -> list[Finding]:
    return [
        Finding(
            f"a kernel with {feature}",
            f"Linux {platform.release()} refuses it",
            "modprobe the module, or use a kernel that has it",
        )
        for feature in kernel.missing_features(folder)
    ]


def _memory() -> list[Finding]:
    available = psutil.virtual_memory().available // 2**20
    return _check(
        available >= MEMORY_MIB,
        f"{MEMORY_MIB} MiB of free memory: {INSTANCES} instances of 1 GiB, 1 GiB for the rest",
        f"{available} MiB are available",
        "stop other programs, or use a larger machine",
    )


def _inotify() -> list[Finding]:
    free = kernel.free_inotify_instances(INOTIFY)
    return _check(
        free >= INOTIFY,
        f"{INOTIFY} inotify instances to spare, without which a systemd hangs when it boots",
        f"{free} are left of fs.inotify.max_user_instances",
        "sudo sysctl fs.inotify.max_user_instances=1024, or take another lab down",
    )


def _disk(folder: Path) -> list[Finding]:
    free = shutil.disk_usage(folder).free // 2**20
    return _check(
        free >= DISK_MIB,
        f"{DISK_MIB} MiB of free disk below {folder}",
        f"{free} MiB are free",
        "make room, or mount a larger disk there",
    )


def _port(config: LabConfig) -> list[Finding]:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", config.port))
        except OSError:
            owner = port_owner(config.port)
            return [
                Finding(
                    f"port {config.port} of 127.0.0.1 free for the lab's endpoint",
                    f"it is taken by {owner or 'a process of another user'}",
                    f"stop it, or: python -m lab up --port {config.port + 1}",
                )
            ]
    return []


def _subnet(config: LabConfig) -> list[Finding]:
    own = ipaddress.ip_network(config.subnet)
    routes = Path("/proc/net/route").read_text(encoding="ascii")
    return [
        Finding(
            f"{config.subnet} free for the lab's network",
            f"{interface} of this host routes {network}",
            "choose another: python -m lab up --subnet 10.77.0.0/16",
        )
        for interface, network in parse_routes(routes)
        # this lab's network of an earlier run has exactly this subnet, on one of Docker's bridges
        if network.overlaps(own) and not (network == own and interface.startswith("br-"))
    ]


def parse_routes(text: str) -> list[tuple[str, ipaddress.IPv4Network]]:
    """
    The interface and destination of every route in /proc/net/route, without default routes.
    """
    routes = []
    for line in text.splitlines()[1:]:
        words = line.split()
        interface, destination, mask = words[0], int(words[1], 16), int(words[7], 16)
        if int(words[3], 16) & ROUTE_UP and mask:
            address = socket.inet_ntoa(struct.pack("<I", destination))
            netmask = socket.inet_ntoa(struct.pack("<I", mask))
            routes.append((interface, ipaddress.IPv4Network(f"{address}/{netmask}")))
    return routes


def port_owner(port: int) -> str:
    """
    The process that listens on a TCP port of this host: "pid 12 (its command line)"; else empty.
    """
    for one in psutil.net_connections("tcp"):
        if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid:
            return f"pid {one.pid} ({command_line(one.pid)[:100]})"
    return ""
