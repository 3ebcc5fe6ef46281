"""
Who serves a lab: a pid together with the time its process started, so that a pid which the
kernel has given to another process since is not believed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from lab.core.errors import LabError


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
    Write this process into the file; LabError while another one that it names is alive.
    """
    pid = running_pid(path)
    if pid is not None and pid != os.getpid():
        raise LabError(
            f"expected to be the only process of this lab, but {pid} serves it",
            evidence=f"{path} names it, and it runs",
            next_step="python -m lab status",
        )
    temporary = path.with_suffix(".new")
    record = {"pid": os.getpid(), "started": _start_time(os.getpid())}
    temporary.write_text(json.dumps(record) + "\n", encoding="ascii")
    temporary.replace(path)


def release(path: Path) -> None:
    """
    Remove the file if it is ours.
    """
    if running_pid(path) == os.getpid():
        path.unlink()


def _start_time(pid: int) -> int | None:
    """
    When a process started, in clock ticks since boot; None when there is none, or a dead one.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold anything
    return None if fields[0] in ("Z", "X") else int(fields[19])
