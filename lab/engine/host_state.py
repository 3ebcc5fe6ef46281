"""
The state of the host outside the daemon's own paths: recorded before it starts, restored after.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from lab.core.files import replace_file
from lab.engine import netfilter

# files and folders that dockerd and its containerd make, whatever paths they are given
DOCKER_PATHS = (
    Path("/etc/docker/key.json"),
    Path("/etc/docker"),
    Path("/opt/containerd/bin"),
    Path("/opt/containerd/lib"),
    Path("/opt/containerd"),
    Path("/run/docker/plugins"),
    Path("/run/docker"),
    Path("/run/containerd/s"),
    Path("/run/containerd"),
)


def record(path: Path) -> None:
    """
    Write down, once, the state of the host without the daemon.
    """
    if not path.exists():
        absent = [str(one) for one in DOCKER_PATHS if not one.exists()]
        state = {"absent": absent, "forwarding": netfilter.forward_policies()}
        replace_file(path, f"{json.dumps(state, indent=2)}\n".encode())


def restore(path: Path) -> None:
    """
    Remove what was absent before. Folders that contain anything else stay.
    """
    state: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        state = json.loads(path.read_text(encoding="ascii"))
    netfilter.remove_docker_rules(state.get("forwarding", {}))
    netfilter.remove_bridge("docker0")
    for made in DOCKER_PATHS:
        if str(made) in state.get("absent", []):
            with suppress(OSError):
                if made.is_dir():
                    made.rmdir()
                else:
                    made.unlink()
    path.unlink(missing_ok=True)
