"""
Mounts that a killed process left below a folder of ours.
"""

from __future__ import annotations

import subprocess
from pathlib import Path


def find_mounts(*roots: Path) -> list[str]:
    """
    The mount points at or below any of these folders, the innermost first.
    """
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    points = {line.split()[4] for line in lines}
    inside = [one for one in points if any(f"{one}/".startswith(f"{root}/") for root in roots)]
    return sorted(inside, reverse=True)


def unmount(*roots: Path) -> None:
    """
    Detach every mount at or below these folders, busy ones too.
    """
    for mount in find_mounts(*roots):
        subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
