"""
The process that serves a lab: its pid and start time, so that a pid that the kernel has reused
since is not believed.

The start time is counted in ticks since boot: psutil's `create_time` moves with the clock.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from lab.core.errors import LabError
from lab.core.files import replace_file


def running_pid(path: Path) -> int | None:
    """
    The pid of the process that wrote this file; None when it has ended, or there is no file.
    """
    try:
        record = json.loads(path.read_text(encoding="ascii"))
        pid, started = int(record["pid"]), int(record["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if _start_time(pid) == started else None


def claim(path: Path) -> None:
    """
    Write this process into the file; LabError while another process in it is alive.
    """
    pid = running_pid(path)
    if pid is not None and pid != os.getpid():
        raise LabError(
            f"expected no other process to serve this lab, but process {pid} does",
            evidence=f"{path} contains its pid and start time",
            next_step="python -m lab status",
        )
    record = {"pid": os.getpid(), "started": _start_time(os.getpid())}
    replace_file(path, f"{json.dumps(record)}\n".encode())


def release(path: Path) -> None:
    """
    Remove the file if it is ours.
    """
    if running_pid(path) == os.getpid():
        path.unlink()


def _start_time(pid: int) -> int | None:
    """
    In clock ticks since boot; None when the process does not exist or is a zombie.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the process name before it may contain anything
    return None if fields[0] in ("Z", "X") else int(fields[19])
