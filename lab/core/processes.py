"""
Processes by what they run, not by what a file says: a recorded pid may be another's by now.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def command_line(pid: int) -> str:
    """
    The command line of a live process, arguments joined by spaces; empty once it is gone.
    """
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return raw.replace(b"\0", b" ").decode(errors="replace").strip()


def is_running(pid: int, *words: str) -> bool:
    """
    Whether this pid is alive and its command line contains every one of the words.
    """
    line = command_line(pid)
    return bool(line) and all(word in line for word in words)


def find_processes(*words: str) -> list[int]:
    """
    Every live process but this one whose command line contains all of the words.
    """
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return sorted(pid for pid in pids if pid != os.getpid() and is_running(pid, *words))


def children_of(pid: int) -> list[int]:
    """
    The direct children of a process; none once it is gone.
    """
    tasks = Path(f"/proc/{pid}/task")
    try:
        return [int(word) for f in tasks.glob("*/children") for word in f.read_text().split()]
    except OSError:
        return []


def shares_network(pid: int) -> bool:
    """
    Whether a process is in this one's network namespace.
    """
    own, other = Path("/proc/self/ns/net"), Path(f"/proc/{pid}/ns/net")
    try:
        return own.readlink() == other.readlink()
    except OSError:
        return False


def stop_process(pid: int, *words: str, timeout_s: float = 20) -> None:
    """
    Ask a process to end, wait, and kill it when it does not; happy if it is gone already.
    """
    for number, patience_s in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, 5.0)):
        if not is_running(pid, *words):
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience_s
        while is_running(pid, *words) and time.monotonic() < deadline:
            time.sleep(0.05)
