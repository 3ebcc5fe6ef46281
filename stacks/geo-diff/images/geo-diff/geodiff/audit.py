"""
The history of each tile, one line of JSON for each event: a drill's accounting reads it.

In one file for each process, not in the log, which loses lines while an engine is being stopped.
Off by default.
"""

import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from geodiff.tiles import Tile


class Audit:
    """
    Append events to a file in a folder; without a folder, record nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._file: int | None = None
        if folder:
            path = folder / f"{socket.gethostname()}-{os.getpid()}.jsonl"
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def note(self, event: str, tile: Tile | str, **facts: object) -> None:
        """
        Record an event. The line is in the file when this returns, even if the process is killed
        next.
        """
        if self._file is not None:
            time = datetime.now(UTC).isoformat(timespec="microseconds")
            entry = {"time": time, "audit": event, "tile": str(tile), **facts}
            os.write(self._file, f"{json.dumps(entry)}\n".encode())
