"""
A process with bounded memory that does with each tile what worker, updater and library do with it.

It reads frames (length, then bytes) from its input and answers each with one line of JSON: how each
of the three took it, and the memory of this process.
"""

import json
import resource
import struct
import sys
import tempfile
from pathlib import Path

from tests.places import IMAGES

sys.path.insert(0, str(IMAGES / "geo-diff"))

from geodiff.broker import Delivery
from geodiff.segmentation import BadTileError, segment
from geodiff.tiles import Tile
from geodiff.updater import BadResultError, store

from runbook_lib.core.errors import IntegrityError
from runbook_lib.geodiff.results import decode

TILE = Tile("2004-01-15", 1, 0, 1)
ROOM = 512 * 1024 * 1024
RESULT = {"kind": "surface", "filter": "DESERT"}


def outcome(expected: type[Exception], work, *arguments) -> str:
    """
    "taken", "refused: why", or the name of an exception that nobody expects.
    """
    try:
        work(*arguments)
    except expected as exc:
        return f"refused: {exc}"
    except Exception as exc:  # the one that a test must see
        return f"{type(exc).__name__}: {exc}"
    return "taken"


def main() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))
    with tempfile.TemporaryDirectory() as folder:
        while head := sys.stdin.buffer.read(4):
            data = sys.stdin.buffer.read(struct.unpack(">I", head)[0])
            answer = {
                "worker": outcome(BadTileError, segment, data),
                "updater": outcome(
                    BadResultError, store, Path(folder), Delivery(1, str(TILE), RESULT, data, False)
                ),
                "library": outcome(IntegrityError, decode, data),
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
