"""
Files that are either the old ones or the new ones, never half of one.
"""

from __future__ import annotations

from pathlib import Path


def replace_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """
    Write a file under another name, with its final mode from the start, and rename it.
    """
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=mode)
    temporary.write_bytes(data)
    temporary.replace(path)
