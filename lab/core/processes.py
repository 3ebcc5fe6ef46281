"""
Processes by their command lines: the kernel may have reused a pid that a file contains.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil


def command_line(pid: int) -> str:
    """
    The command line of a live process, arguments joined by spaces; empty once it is gone.
    """
    try:
        return " ".join(psutil.Process(pid).cmdline()).strip()
    except psutil.Error:
        return ""


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
    return [pid for pid in psutil.pids() if pid != os.getpid() and is_running(pid, *words)]


def children_of(pid: int) -> list[int]:
    """
    The direct children of a process; none once it is gone.
    """
    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.NoSuchProcess:
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
    Send SIGTERM, wait, and send SIGKILL if it still runs; happy if it is gone already.
    """
    with suppress(psutil.NoSuchProcess):  # psutil signals no process that took over the pid
        process = psutil.Process(pid)
        for number, patience_s in ((signal.SIGTERM, timeout_s), (signal.SIGKILL, 5.0)):
            if not is_running(pid, *words):
                return
            process.send_signal(number)
            # not process.wait: a zombie that its parent never collects has ended all the same
            deadline = time.monotonic() + patience_s
            while is_running(pid, *words) and time.monotonic() < deadline:
                time.sleep(0.05)
