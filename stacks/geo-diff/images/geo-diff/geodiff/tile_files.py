"""
From a URL to the bytes of a tile: only the name of a tile becomes a path, and a path that leads
elsewhere is never read.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from geodiff.tiles import MAX_BYTES, RAW, SURFACES, Tile, parse_tile

FILTERS = (RAW, *SURFACES)

# Do not follow a link as the last step, and do not wait for the other end of a pipe.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Nothing; a file where a folder should be; a link; a socket.
_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}
_DELETED = " (deleted)"


class NoSuchTileError(LookupError):
    """
    There is no such tile, or not yet.
    """


class MalformedNameError(ValueError):
    """
    The request does not contain the name of a tile; the message is the reason.
    """


@dataclass(frozen=True)
class TileFile:
    """
    One tile as it was when it was opened. `etag` is strong: a tile is replaced as a whole.
    """

    data: bytes
    etag: str


def parse_address(layer: str, name: str) -> Tile:
    """
    Read `<layer>` and `<date>/<z>/<y>/<x>` as they stand in the URL, decoded.
    """
    if layer not in FILTERS:
        raise NoSuchTileError(f"no such filter; there are {', '.join(FILTERS)}")
    try:
        return parse_tile(name)
    except ValueError as exc:
        raise MalformedNameError("expected /<filter>/<date>/<z>/<y>/<x>") from exc


@contextmanager
def opened(root: Path, layer: str, tile: Tile) -> Iterator[tuple[int, os.stat_result]]:
    """
    Open the regular file of a tile under `root`, whose own path must be real (no links in it).

    Links below the root are not followed, wherever they lead. The kernel reports the path of the
    opened file: checking the folders beforehand would leave time to change them.
    """
    path = f"{root}/{layer}/{tile}.png"
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as exc:
        if exc.errno in _NOT_THERE:
            raise NoSuchTileError("no such tile") from exc
        raise
    try:
        status = os.fstat(descriptor)
        # `(deleted)` if it was replaced after it was opened
        real_path = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - a Path costs more
        real_path = real_path.removesuffix(_DELETED)
        if real_path != path or not stat.S_ISREG(status.st_mode):
            raise NoSuchTileError("no such tile")
        yield descriptor, status
    finally:
        os.close(descriptor)


def read_tile(root: Path, layer: str, tile: Tile) -> TileFile:
    """
    Read a tile that is no larger than a tile can be.
    """
    with opened(root, layer, tile) as (descriptor, status):
        if status.st_size > MAX_BYTES:
            raise NoSuchTileError("no such tile")
        data = os.read(descriptor, status.st_size)
    return TileFile(data, f'"{status.st_mtime_ns:x}-{status.st_size:x}"')
