"""
Tiles on disk: names, atomic writes, and which RAW tiles still lack a result.
"""

import fcntl
import itertools
import logging
import operator
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

log = logging.getLogger(__name__)

RAW = "RAW"
REJECTED = "REJECTED"
SURFACES = ("FOREST-JUNGLE", "OCEAN-SEA", "DESERT")
TEMPORARY = ".writing"
SHARE_KEYWORD = "surface-share"  # the tEXt chunk of a result with the share of it that is surface
MAX_ZOOM = 24
MAX_BYTES = 2 * 1024 * 1024

_NAME = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})/(0|[1-9][0-9]?)/(0|[1-9][0-9]*)/(0|[1-9][0-9]*)")
_counter = itertools.count()


@dataclass(frozen=True, order=True)
class Tile:
    """
    One tile of one date, in XYZ tiling. `str(tile)` is its name: `<date>/<z>/<y>/<x>`.
    """

    date: str
    z: int
    y: int
    x: int

    def __str__(self) -> str:
        return f"{self.date}/{self.z}/{self.y}/{self.x}"

    def headers(self) -> dict[str, object]:
        """
        Return the message headers that name this tile.
        """
        return {"date": self.date, "z": self.z, "y": self.y, "x": self.x}

    def path(self, root: Path, layer: str) -> Path:
        suffix = "json" if layer == REJECTED else "png"
        return root / layer / f"{self}.{suffix}"


def parse_tile(name: str) -> Tile:
    """
    Read a tile's name, or raise ValueError: names come from messages and become paths.
    """
    match = _NAME.fullmatch(name) if len(name) <= 64 else None
    if match is None:
        raise ValueError(f"{name[:80]!r} is not <date>/<z>/<y>/<x>")
    day, z, y, x = match[1], int(match[2]), int(match[3]), int(match[4])
    date.fromisoformat(day)
    if z > MAX_ZOOM or y >= 2**z or x >= 2**z:
        raise ValueError(f"{name!r} lies outside zoom {z}")
    return Tile(day, z, y, x)


def write_atomic(
    path: Path,
    data: bytes,
    mtime_ns: int | None = None,
    same: Callable[[bytes, bytes], bool] = operator.eq,
) -> bool:
    """
    Make `path` contain `data`, durably, all or nothing. Return False if it did already.

    ValueError if a link is on the way: it would have the file written anywhere.

    The temporary file stays locked until it is renamed, so that `remove_strays` can tell a crash's
    remains from the current work of another updater. It is closed before the rename: on S3, close()
    is the PUT and rename the COPY, and the rename of an open file is postponed and its failure
    lost. A second descriptor holds the lock after the close.
    """
    if os.path.realpath(path) != str(path):
        raise ValueError(f"a link leads from {path} elsewhere")
    with suppress(FileNotFoundError):
        if same(path.read_bytes(), data) and mtime_ns in (None, path.stat().st_mtime_ns):
            return False
    path.parent.mkdir(parents=True, exist_ok=True)
    name = f".{path.name}.{socket.gethostname()}.{os.getpid()}.{next(_counter)}{TEMPORARY}"
    temporary = path.with_name(name)
    try:
        with ExitStack() as until_named:
            with temporary.open("xb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                until_named.callback(os.close, os.dup(file.fileno()))
                file.write(data)
                file.flush()
                if mtime_ns is not None:
                    os.utime(file.fileno(), ns=(mtime_ns, mtime_ns))
                os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)
    return True


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_strays(root: Path) -> int:
    """
    Remove the temporary files of writers that are dead; return how many.
    """
    removed = 0
    for layer in (*SURFACES, REJECTED):
        for folder, _, names in os.walk(root / layer):
            for name in names:
                if name.endswith(TEMPORARY) and _is_abandoned(Path(folder, name)):
                    Path(folder, name).unlink(missing_ok=True)
                    removed += 1
    return removed


def _is_abandoned(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except (FileNotFoundError, BlockingIOError):
        return False


def pending(root: Path) -> Iterator[Tile]:
    """
    Walk the RAW tiles that have neither their three results nor a valid rejection.

    Links are not followed: a tile is a file below the root. One row of tiles (`<date>/<z>/<y>`) is
    in memory at a time, whatever the number of tiles.
    """
    if (root / RAW).is_symlink():
        log.warning("%s is a link: nothing is dealt", root / RAW)
        return
    for day in _subdirectories(root / RAW):
        for z in _subdirectories(root / RAW / day):
            for y in _subdirectories(root / RAW / day / z):
                yield from _pending_in_row(root, f"{day}/{z}/{y}")


def _pending_in_row(root: Path, row: str) -> Iterator[Tile]:
    done = set.intersection(*(_names(root / surface / row, ".png") for surface in SURFACES))
    rejected = _names(root / REJECTED / row, ".json")
    raw = _names(root / RAW / row, ".png", files_only=True)
    for x in sorted(raw - done, key=lambda name: (len(name), name)):
        try:
            tile = parse_tile(f"{row}/{x}")
        except ValueError:
            continue
        if x not in rejected or not rejection_holds(root, tile):
            yield tile


def rejection_holds(root: Path, tile: Tile) -> bool:
    """
    Whether the rejection on disk is about the current RAW file.

    A rejection contains the modification time of its RAW file.
    """
    try:
        raw = tile.path(root, RAW).stat()
        rejection = tile.path(root, REJECTED).stat()
    except FileNotFoundError:
        return False
    return rejection.st_mtime_ns >= raw.st_mtime_ns


def _subdirectories(path: Path) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _names(path: Path, suffix: str, *, files_only: bool = False) -> set[str]:
    try:
        with os.scandir(path) as entries:
            return {
                entry.name[: -len(suffix)]
                for entry in entries
                if entry.name.endswith(suffix)
                and (not files_only or entry.is_file(follow_symlinks=False))
            }
    except (FileNotFoundError, NotADirectoryError):
        return set()
