"""
Wall-clock times without a date, on one time axis: across midnight, without stray times.
"""

import time
from collections import Counter

import numpy as np
import numpy.typing as npt

from runbook_lib.core.errors import IntegrityError

DAY_S = 86_400.0
DISORDER_S = 60.0
"""Several writers of one log may mix up their lines by this much; they are sorted."""
GAP_S = 600.0
DATED_S = 1e8
"""A time above this many seconds is not of a day: it has a date."""

MIXED_UP = "times that were a few seconds out of order (kept, and sorted)"
ASTRAY = "rows whose time stands alone (before and after it the clock reads otherwise)"

Floats = npt.NDArray[np.float64]


class WallClock:
    """
    A converter of one file's times, block by block; `left_out` and `notes` record irregularities.

    A time that goes back has one of four causes: midnight; lines mixed up by seconds; one stray
    time among good ones, which is left out; or another run on a later day, with only new
    containers. Anything else is refused: a guess would move measurements in time.
    """

    def __init__(self, source: str, left_out: Counter[str]) -> None:
        self.source = source
        self.left_out = left_out
        self.notes: list[str] = []
        self._last = np.nan  # seconds since the first midnight, of the last good sample
        self._containers: set[int] = set()

    def unwrap(self, clock_s: Floats, who: npt.NDArray[np.int32], *, end: bool) -> Floats:
        """
        Return seconds since the midnight before the first row, NaN for a row to leave out.

        The result is shorter than the block unless it is the `end`: the last sample's rows can only
        be judged with the next block, so pass them again with it.
        """
        if not len(clock_s):
            return clock_s
        if clock_s[0] >= DATED_S:
            return self._dated(clock_s)
        starts = np.flatnonzero(np.r_[True, clock_s[1:] != clock_s[:-1]])
        lengths = np.diff(np.r_[starts, len(clock_s)])
        ready = len(starts) if end else len(starts) - 1
        samples = clock_s[starts]
        good = ~self._astray(samples)[:ready]
        if not good.all():
            self.left_out[ASTRAY] += int(lengths[:ready][~good].sum())
        times = np.full(ready, np.nan)
        if good.any():
            times[good] = self._lay_out(samples[:ready][good], starts[:ready][good], who)
            self._last = float(times[good][-1])
        rows = np.repeat(times, lengths[:ready])
        self._containers.update(np.unique(who[: len(rows)]).tolist())
        return rows

    def _dated(self, times: Floats) -> Floats:
        """
        Return times with dates as they are.

        Raises IntegrityError if they go back further than mixed-up lines do.
        """
        highest = np.fmax.accumulate(np.r_[self._last, times])
        back = np.flatnonzero(times < highest[:-1] - DISORDER_S)
        if len(back):
            was, now = (
                time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(t))
                for t in (highest[back[0]], times[back[0]])
            )
            raise IntegrityError(
                f"expected increasing times in {self.source}; they go back from {was} to {now}",
                evidence="two logs in one file, or a clock that was set",
                next_step="sort the rows, or split the file there into two recordings",
            )
        if mixed_up := int((times < highest[:-1]).sum()):
            self.left_out[MIXED_UP] += mixed_up
        self._last = float(highest[-1])
        return times

    def _astray(self, samples: Floats) -> npt.NDArray[np.bool_]:
        """
        Check whether the clock jumps to a sample and back, while its neighbours are consistent.
        """
        before = np.r_[self._last % DAY_S if self._last >= 0 else np.nan, samples[:-1]]
        after = np.r_[samples[1:], np.nan]
        there, back = _turn(samples - before), _turn(after - samples)
        across = _turn(after - before)
        alone = (np.abs(there) > DISORDER_S) & (np.abs(back) > DISORDER_S) & (there * back < 0)
        astray: npt.NDArray[np.bool_] = alone & (across >= -DISORDER_S) & (across <= GAP_S)
        return astray

    def _lay_out(
        self, samples: Floats, starts: npt.NDArray[np.int64], who: npt.NDArray[np.int32]
    ) -> Floats:
        first = self._last if self._last >= 0 else samples[0]
        steps = _turn(np.diff(np.r_[first % DAY_S, samples]))
        if mixed_up := int(((steps < 0) & (steps >= -DISORDER_S)).sum()):
            self.left_out[MIXED_UP] += mixed_up
        for at in np.flatnonzero(steps < -DISORDER_S):
            earlier = self._containers.union(who[: starts[at]].tolist())
            later = set(who[starts[at] :].tolist())
            times = (samples[at] - steps[at], samples[at])
            was, now = (time.strftime("%H:%M:%S", time.gmtime(t % DAY_S)) for t in times)
            if earlier & later:
                raise IntegrityError(
                    f"expected increasing times in {self.source}; they go back from {was} to {now}",
                    evidence=f"{len(earlier & later)} containers have rows before and after it, "
                    "so it is not another run on another day",
                    next_step="sort the rows, or split the file there into two recordings",
                )
            self.notes.append(
                f"{self.source} goes back from {was} to {now} with new containers: "
                f"taken as another run, a day later"
            )
            steps[at] += DAY_S
        return first + np.cumsum(steps)


def _turn(difference: Floats) -> Floats:
    """
    Return the shortest signed distance between two times of day, from -12 h to +12 h.
    """
    return (difference + DAY_S / 2) % DAY_S - DAY_S / 2
