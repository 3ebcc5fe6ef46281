"""
The cached counts of one zoom: for each row, when its folder last changed, how many tiles it has,
and the share of them that is surface.

A folder's time changes with every tile that is added, so an unchanged row costs one stat of its
folder, however many tiles it has. 28 bytes a row.
"""

import math
import os
import re
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

from geodiff import png
from geodiff.tiles import SHARE_KEYWORD

NOT_READ, UNREADABLE = math.nan, -1.0
# The kernel's clock for files ticks every few milliseconds: a folder that has just changed may
# change again with the same time.
SETTLED_NS = 2_000_000_000
HEAD_BYTES = 1024  # the text precedes the pixels

_NUMBER = re.compile(r"0|[1-9][0-9]{0,7}")
_TILE = re.compile(r"(0|[1-9][0-9]{0,7})\.png")


class Rows:
    """
    The rows of one zoom of one filter and date.
    """

    def __init__(self) -> None:
        self._y = array("L")
        self._changed_ns = array("q")
        self._tiles = array("L")
        self._share = array("d")
        self.tiles = 0
        self.share: float | None = None

    def __len__(self) -> int:
        return len(self._y)

    def refreshed(
        self, folder: Path, z: int, *, with_share: bool, room: int, pace: Callable[[], None]
    ) -> "Rows":
        """
        Check the folder of the zoom, and read again only the rows that changed.

        At most `room` rows are cached, to bound memory; the others are counted each time. `pace` is
        called now and then.
        """
        fresh, side = Rows(), 1 << z
        known = {y: index for index, y in enumerate(self._y)}
        covered, surface = 0.0, 0.0
        for y, changed_ns in _row_folders(folder, side):
            pace()
            index = known.get(y)
            if index is not None and changed_ns == self._changed_ns[index]:
                tiles, share = self._tiles[index], self._share[index]
            else:
                tiles, share = _count(folder / str(y), side), NOT_READ
            if with_share and tiles == side and math.isnan(share):
                share = _share_of_row(folder / str(y), side, pace)
            fresh.tiles += tiles
            if tiles == side and share >= 0:
                covered += ground_weight(z, y)
                surface += ground_weight(z, y) * share
            if len(fresh) < room:
                settled = time.time_ns() - changed_ns > SETTLED_NS
                fresh._remember(y, changed_ns if settled else 0, tiles, share)
        whole = ground_weight(0, 0)
        fresh.share = surface / whole if math.isclose(covered, whole) else None
        return fresh

    def _remember(self, y: int, changed_ns: int, tiles: int, share: float) -> None:
        self._y.append(y)
        self._changed_ns.append(changed_ns)
        self._tiles.append(tiles)
        self._share.append(share)


def ground_weight(z: int, y: int) -> float:
    """
    Return how much of the ground a row of tiles covers; the whole map is `ground_weight(0, 0)`.

    Between two latitudes lies an area that is proportional to the difference of their sines, and in
    Web Mercator the sine of a latitude is tanh(pi * (1 - 2 * y / 2**z)).
    """
    upper, lower = (math.tanh(math.pi * (1 - 2 * edge / (1 << z))) for edge in (y, y + 1))
    return upper - lower


def zooms(folder: Path) -> list[int]:
    return sorted(number for number, _ in _row_folders(folder, 25))


def _row_folders(folder: Path, limit: int) -> Iterator[tuple[int, int]]:
    """
    Yield number and time of every folder whose name is a number below `limit`.
    """
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if (
                    _NUMBER.fullmatch(entry.name)
                    and int(entry.name) < limit
                    and entry.is_dir(follow_symlinks=False)
                ):
                    yield int(entry.name), entry.stat(follow_symlinks=False).st_mtime_ns
    except OSError:  # missing, removed meanwhile, or not readable: nothing to count
        return


def _count(folder: Path, side: int) -> int:
    try:
        with os.scandir(folder) as entries:
            return sum(
                1
                for entry in entries
                if (match := _TILE.fullmatch(entry.name)) and int(match[1]) < side
            )
    except OSError:
        return 0


def _share_of_row(folder: Path, side: int, pace: Callable[[], None]) -> float:
    """
    Return the mean share of a row's tiles, or UNREADABLE if one of them has none.
    """
    total = 0.0
    for x in range(side):
        pace()
        try:
            with Path(folder, f"{x}.png").open("rb") as file:
                share = float(png.texts(file.read(HEAD_BYTES))[SHARE_KEYWORD])
        except (OSError, KeyError, ValueError):
            return UNREADABLE
        if not 0 <= share <= 1:
            return UNREADABLE
        total += share
    return total / side
