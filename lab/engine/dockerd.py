"""
A private Docker daemon under our own paths: start it, find it again, stop it without a trace.

A start first removes what a killed daemon leaves (pid files, sockets, its containerd, mounts).
Such files alone prove nothing: processes are recognised by their command lines.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from lab.core.errors import LabError
from lab.core.mounts import unmount
from lab.core.processes import children_of, find_processes, shares_network, stop_process
from lab.engine import host_state

SYSTEM_CONTAINERD = Path("/run/containerd/containerd.sock")


@dataclass(frozen=True)
class Daemon:
    """
    The paths of the private daemon: `data_root` for images, `run_dir` for sockets and pid files.
    """

    data_root: Path = field(
        default_factory=lambda: Path.home() / ".cache" / "geo-diff-runbook" / "docker" / "data"
    )
    run_dir: Path = Path("/run/geo-diff-runbook")

    @property
    def socket(self) -> Path:
        return self.run_dir / "docker.sock"

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    @property
    def pid_file(self) -> Path:
        return self.run_dir / "dockerd.pid"

    @property
    def exec_root(self) -> Path:
        return self.run_dir / "exec"

    @property
    def log_file(self) -> Path:
        return self.data_root.parent / "dockerd.log"

    @property
    def before_file(self) -> Path:
        """
        The recorded state of the host before the first start.
        """
        return self.data_root.parent / "host-before.json"


def daemon_pids(daemon: Daemon) -> list[int]:
    """
    The daemon, recognised by its data root: one pid, or none.
    """
    return find_processes("dockerd", f"--data-root {daemon.data_root} ")


def containerd_pids(daemon: Daemon) -> list[int]:
    return find_processes("containerd", f"--config {daemon.exec_root}/containerd/")


def shim_pids(daemon: Daemon) -> list[int]:
    """
    The parents of this daemon's containers; they outlive a killed daemon.
    """
    return find_processes("containerd-shim", f"-address {daemon.exec_root}/containerd/")


def answers(path: Path) -> bool:
    """
    Whether a process listens on this Unix socket; a dead one may have left the file.
    """
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(2)
        return client.connect_ex(str(path)) == 0


def is_ready(path: Path) -> bool:
    """
    Whether a daemon serves its API on this socket, which it opens long before.
    """
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(path))
            client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in client.recv(4096).split(b"\r\n")[0]
    except OSError:
        return False


def lock(daemon: Daemon) -> FileLock:
    """
    The lock of whoever starts, stops or claims the daemon; its holder may take it again.

    The network of a lab is its claim: `down` stops a daemon that nobody claims, so `up` holds the
    lock until its network is there.
    """
    return FileLock(daemon.data_root.parent / "engine.lock", is_singleton=True)


def start_daemon(daemon: Daemon, *, timeout_s: float = 120) -> None:
    """
    Start the daemon detached and wait until it listens; nothing to do if it listens already.
    """
    if daemon_pids(daemon) and is_ready(daemon.socket):
        return
    clear_leftovers(daemon)
    daemon.exec_root.mkdir(parents=True, exist_ok=True)
    daemon.data_root.mkdir(parents=True, exist_ok=True)
    host_state.record(daemon.before_file)
    command = ["dockerd", "--data-root", str(daemon.data_root), "--exec-root"]
    command += [str(daemon.exec_root), "--pidfile", str(daemon.pid_file), "-H", daemon.host]
    with daemon.log_file.open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    deadline = time.monotonic() + timeout_s
    while not is_ready(daemon.socket):
        if process.poll() is not None or time.monotonic() > deadline:
            raise LabError(
                f"expected the private Docker daemon to listen on {daemon.socket}, but it does not",
                evidence=_last_words(daemon.log_file),
                next_step=f"read {daemon.log_file}; python -m lab preflight names what is missing",
            )
        time.sleep(0.05)


def stop_daemon(daemon: Daemon) -> bool:
    """
    Stop the daemon and remove what it leaves on the host; whether there was one to stop.

    Only processes with this daemon's own paths are ended; the data root (images) stays.
    """
    existed = bool(daemon_pids(daemon) or shim_pids(daemon) or daemon.run_dir.exists())
    for pid in daemon_pids(daemon):
        stop_process(pid, "dockerd", timeout_s=30)
    for shim in shim_pids(daemon):  # containers that a killed daemon left running
        for pid in children_of(shim):
            os.kill(pid, signal.SIGKILL)
        stop_process(shim, "containerd-shim", timeout_s=2)
    clear_leftovers(daemon)
    unmount(daemon.exec_root, daemon.data_root)
    # another engine on this host, outside any container, uses docker0 and the same chains
    if not any(shares_network(pid) for pid in find_processes("dockerd ")):
        host_state.restore(daemon.before_file)
    shutil.rmtree(daemon.run_dir, ignore_errors=True)
    return existed


def clear_leftovers(daemon: Daemon) -> None:
    """
    Remove what a killed daemon left: a containerd that it would wait for, sockets, pid files.

    Containers that still run are left to the next daemon, which ends them in order.
    """
    for pid in daemon_pids(daemon):  # alive, but not listening: it hangs or is shutting down
        stop_process(pid, "dockerd")
    for pid in containerd_pids(daemon):
        stop_process(pid, "containerd", timeout_s=5)
    containerd = daemon.exec_root / "containerd"
    for path in (daemon.pid_file, daemon.socket, *containerd.glob("*.pid")):
        path.unlink(missing_ok=True)
    for path in containerd.glob("*.sock*"):
        path.unlink(missing_ok=True)
    # dockerd prefers the system's containerd where its socket exists, and waits for a dead one
    if os.geteuid() == 0 and SYSTEM_CONTAINERD.exists() and not answers(SYSTEM_CONTAINERD):
        SYSTEM_CONTAINERD.unlink()


def _last_words(log_file: Path) -> str:
    lines = log_file.read_text(encoding="utf-8", errors="replace").splitlines()
    worst = [line for line in lines if "level=info" not in line and "level=warn" not in line]
    return "; ".join((worst or lines)[-3:]) or "its log is empty"
