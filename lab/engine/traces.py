"""
What a Docker daemon leaves on a host outside its own paths: recorded before, removed after.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from lab.engine import netfilter

# files and folders that dockerd and its containerd make whatever paths they are given
TRACES = (
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
    Write down, once, what the host is like without the daemon.
    """
    if not path.exists():
        absent = [str(trace) for trace in TRACES if not trace.exists()]
        state = {"absent": absent, "forwarding": netfilter.forward_policies()}
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(state, indent=2) + "\n", encoding="ascii")
        temporary.replace(path)


def remove(path: Path) -> None:
    """
    Take away what the record did not have. Folders that hold anything else stay.
    """
    state: dict[str, Any] = {}
    with suppress(OSError, ValueError):
        state = json.loads(path.read_text(encoding="ascii"))
    netfilter.remove_docker_rules(state.get("forwarding", {}))
    netfilter.remove_bridge("docker0")
    for trace in TRACES:
        if str(trace) in state.get("absent", []):
            with suppress(OSError):
                if trace.is_dir():
                    trace.rmdir()
                else:
                    trace.unlink()
    path.unlink(missing_ok=True)
