"""
What became of each tile, one JSON line an event: the books that a drill is checked against.

In a file for each process, and not in the log: what is said while an engine is being stopped, its
log lacks. Off by default.
"""

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from geodiff.tiles import Tile


class Audit:
    """
    Appends to a file in a folder, line by line; without a folder it keeps no books.
    """

    def __init__(self, folder: Path | None) -> None:
        self._file: int | None = None
        if folder:
            path = folder / f"{socket.gethostname()}-{os.getpid()}.jsonl"
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def note(self, event: str, tile: Tile | str, **facts: object) -> None:
        """
        Written when it returns, whatever happens to the process then.
        """
        if self._file is not None:
            time = datetime.now(UTC).isoformat(timespec="microseconds")
            entry = {"time": time, "audit": event, "tile": str(tile), **facts}
            os.write(self._file, f"{json.dumps(entry)}\n".encode())
