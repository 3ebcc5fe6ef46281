"""
The process that holds a lock: in words, and so that others on its machine know when it has ended.
"""

import getpass
import hashlib
import os
import re
import socket
from contextlib import suppress
from pathlib import Path


def holder_name() -> str:
    """
    Return user, machine and process of this run, as a tag may hold them.
    """
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's uid may have no name
        user = f"uid {os.getuid()}"
    return re.sub(r"[^\w .:/=+@-]", "?", f"{user}@{socket.gethostname()} pid {os.getpid()}")[:200]


def machine_id() -> str:
    """
    Return what tells this machine from others: pids mean something on one machine, in one boot and
    one container.
    """
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:12]


def has_ended(machine: str, pid: str) -> bool:
    """
    Check whether a process of this machine has ended; False for one of another machine.
    """
    if machine != machine_id() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # it runs, as another user
        return False
    return False
