"""
The available dates, with the tiles of each filter and the share of the ground that is surface.

A request refreshes it, at most once a second, in the background. The response waits a moment for
the refresh and then shows what is known. Unchanged folders are not read again.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from geodiff.catalogue_rows import Rows, zooms
from geodiff.tile_files import FILTERS
from geodiff.tiles import RAW

MIN_AGE_S = 1.0
WAIT_S = 0.5
MAX_ROWS = 500_000  # in memory, 14 MB: more than a hundred million tiles in practice


@dataclass(frozen=True)
class Layer:
    """
    One filter of one date; `share` (0 to 1) is None while results are missing.
    """

    tiles: int
    share: float | None


@dataclass(frozen=True)
class Day:
    """
    One date: its zooms, and the layer of each filter.
    """

    date: str
    min_zoom: int
    max_zoom: int
    layers: dict[str, Layer]


@dataclass(frozen=True)
class Listing:
    """
    All dates in order. `complete` is False until all tiles have been counted once.
    """

    days: tuple[Day, ...] = ()
    complete: bool = False


@dataclass
class Pace:
    """
    Full speed for the first moments, a fifth of the time afterwards, as tiles are served meanwhile.
    """

    burst_s: float = 0.3
    slice_s: float = 0.01
    rest: float = 4.0
    _began: float = field(default_factory=time.monotonic)
    _slice: float = field(default_factory=time.monotonic)

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self._began > self.burst_s and now - self._slice > self.slice_s:
            time.sleep(min(now - self._slice, self.slice_s) * self.rest)
            self._slice = time.monotonic()


class Catalogue:
    """
    The dates under `root`, refreshed by requests.
    """

    def __init__(
        self, root: Path, *, min_age_s: float = MIN_AGE_S, max_rows: int = MAX_ROWS
    ) -> None:
        self._root = root
        self._min_age_s = min_age_s
        self._max_rows = max_rows
        self._rows: dict[tuple[str, str, int], Rows] = {}
        self._days: dict[str, Day] = {}
        self._listing = Listing()
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._done.set()
        self._next_s = 0.0

    def listing(self, wait_s: float = WAIT_S) -> Listing:
        """
        Return the dates, up to date if a refresh takes less than `wait_s`.
        """
        with self._lock:
            if self._done.is_set() and time.monotonic() >= self._next_s:
                self._done.clear()
                threading.Thread(target=self._refresh, daemon=True).start()
        self._done.wait(wait_s)
        return self._listing

    def _refresh(self) -> None:
        try:
            self._look()
        finally:
            self._next_s = time.monotonic() + self._min_age_s
            self._done.set()

    def _look(self) -> None:
        pace = Pace()
        names = sorted({name for layer in FILTERS for name in _dates(self._root / layer)})
        for gone in self._days.keys() - set(names):
            del self._days[gone]
        self._rows = {key: rows for key, rows in self._rows.items() if key[0] in self._days}
        for name in names:
            day = self._look_at(name, pace)
            if day is None:
                self._days.pop(name, None)
            else:
                self._days[name] = day
            if not self._listing.complete:
                self._publish(complete=False)
        self._publish(complete=True)

    def _publish(self, *, complete: bool) -> None:
        self._listing = Listing(tuple(self._days[name] for name in sorted(self._days)), complete)

    def _look_at(self, day: str, pace: Callable[[], None]) -> Day | None:
        by_layer: dict[str, dict[int, Rows]] = {}
        whole = -1
        for layer in FILTERS:  # RAW first: it determines which zoom covers the world
            by_layer[layer] = {}
            for z in zooms(self._root / layer / day):
                wanted = layer != RAW and z == whole
                by_layer[layer][z] = self._refresh_rows(day, layer, z, wanted, pace)
            if layer == RAW:
                whole = max(
                    (z for z, rows in by_layer[RAW].items() if rows.tiles == 4**z), default=-1
                )
        for key in [key for key in self._rows if key[0] == day and key[2] not in by_layer[key[1]]]:
            del self._rows[key]
        filled = [z for layer in by_layer.values() for z, rows in layer.items() if rows.tiles]
        if not filled:
            return None
        layers = {
            layer: Layer(
                tiles=sum(each.tiles for each in rows.values()),
                share=rows[whole].share if layer != RAW and whole in rows else None,
            )
            for layer, rows in by_layer.items()
        }
        return Day(day, min(filled), max(filled), layers)

    def _refresh_rows(
        self, day: str, layer: str, z: int, with_share: bool, pace: Callable[[], None]
    ) -> Rows:
        key = (day, layer, z)
        before = self._rows.pop(key, None) or Rows()
        room = self._max_rows - sum(len(rows) for rows in self._rows.values())
        rows = before.refreshed(
            self._root / layer / day / str(z), z, with_share=with_share, room=room, pace=pace
        )
        self._rows[key] = rows
        return rows


def _dates(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir() if _is_date(entry.name)]
    except OSError:
        return []


def _is_date(name: str) -> bool:
    try:
        return date.fromisoformat(name).isoformat() == name
    except ValueError:
        return False
