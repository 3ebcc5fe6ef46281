"""
Sums of counters that are rounded, and restart at zero with their container.

A service's total is the sum over its containers. A restarted container keeps its id and counts from
zero again: the highest reading between restarts counts. A reading of zero after a higher one is not
a restart (it is the last one of a container that ends): only a counter that grows again from a
small reading has restarted. A dip by less than half is a late line: the highest reading counts. But
a counter that grows three times in a row after it, and is still below, has restarted under heavy
traffic. (A removed network reads the same, and is taken for a restart.)
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

COUNTERS = ["net_in_bytes", "net_out_bytes", "block_in_bytes", "block_out_bytes"]
CONFIRMED = 3
"""Growing readings below the highest one that show a restart."""
RESTART = 0.5
"""A reading above zero and below this share of the previous one is a restart."""

Floats = npt.NDArray[np.float64]
Owners = npt.NDArray[np.integer]


class Unrolled:
    """
    The counters of many owners, continued over restarts; blocks must be in order of time.
    """

    def __init__(self, counters: int = 1) -> None:
        # per counter and owner: the last reading above zero, the highest since the last start, the
        # sum counted before that start, the number of restarts, and the growing readings below the
        # highest
        self._state: Floats = np.zeros((counters, 5, 0))

    def add(self, owner: Owners, *readings: Floats) -> list[Floats]:
        """
        Return per counter the running sum of each row's owner; NaN where not measured.
        """
        if not len(owner):
            return list(readings)
        more = max(0, int(owner.max()) + 1 - self._state.shape[2])
        self._state = np.pad(self._state, ((0, 0), (0, 0), (0, more)))
        order = np.argsort(owner, kind="stable")
        who = owner[order]
        first = np.r_[True, who[1:] != who[:-1]]
        counted = [np.empty(len(owner)) for _ in readings]
        for state, column, answer in zip(self._state, readings, counted, strict=True):
            answer[order] = _unroll(state, who, first, column[order])
        return counted

    def restarts(self, owner: Owners) -> Floats:
        """
        Return the restarts of each row's owner, by the counter that shows the most.
        """
        most: Floats = self._state[:, 3].max(axis=0, initial=0)[owner]
        return most


def _unroll(state: Floats, who: Owners, first: npt.NDArray[np.bool_], read: Floats) -> Floats:
    """
    Unroll one counter; rows are grouped by owner, `first` marks the first row of each group.
    """
    last, peak, before, _, _ = state
    # an owner's first row is never NaN
    filled = np.where(read > 0, read, np.where(first, last[who], np.nan))
    filled = pd.Series(filled).ffill().to_numpy()
    previous = np.where(first, last[who], np.r_[0.0, filled[:-1]])
    sums = filled + before[who]
    ends = np.r_[first[1:], True]
    # counters almost always only grow
    fell = np.unique(who[(filled < previous) | (filled < peak[who])])
    again = {owner: state[:, owner].tolist() for owner in fell.tolist()}
    last[who[ends]] = peak[who[ends]] = filled[ends]
    for owner, was in again.items():
        begin, end = np.searchsorted(who, [owner, owner + 1])
        sums[begin:end], state[:, owner] = _row_by_row(filled[begin:end].tolist(), was)
    counted: Floats = np.where(np.isnan(read), np.nan, sums)
    return counted


def _row_by_row(readings: list[float], state: list[float]) -> tuple[list[float], list[float]]:
    """
    Unroll one owner's counter that fell; return its running sums, and its state after them.
    """
    last, peak, before, restarts, below = state
    sums = []
    for reading in readings:
        if reading >= peak:
            below = 0.0
        elif reading > last:
            below += 1
        if reading < RESTART * last or below >= CONFIRMED:
            before, peak, restarts, below = before + peak, reading, restarts + 1, 0.0
        last, peak = reading, max(peak, reading)
        sums.append(before + peak)
    return sums, [last, peak, before, restarts, below]


def without_restarts(stats: pd.DataFrame) -> pd.DataFrame:
    """
    Return the same samples in order of time, with counters continued over restarts.

    The column `restarts` counts the container's restarts in the whole recording.
    """
    if not stats["time"].is_monotonic_increasing:
        stats = stats.sort_values("time", kind="stable", ignore_index=True)
    owner = _owners(stats)
    unrolled = Unrolled(len(COUNTERS))
    counted = unrolled.add(owner, *(stats[name].to_numpy(float) for name in COUNTERS))
    restarts = unrolled.restarts(owner)
    # a renamed container is one
    names = stats["service"][~pd.Series(owner, stats.index).duplicated()].to_numpy()[owner]
    columns = dict(zip(COUNTERS, counted, strict=True))
    return stats.assign(**columns, service=names, restarts=restarts)


def _owners(stats: pd.DataFrame) -> Owners:
    # the same short id on two nodes means two containers
    groups = stats.groupby(["node", "container"], sort=False, dropna=False)
    return groups.ngroup().to_numpy()


def rounding_error(values: pd.Series, digits: int | None) -> pd.Series:
    """
    Return the largest rounding error for a number of significant digits; 0 for None.
    """
    if digits is None:
        return values * 0.0
    magnitude = np.floor(np.log10(values.where(values > 0)))
    error: pd.Series = (0.5 * 10.0 ** (magnitude - digits + 1)).fillna(values * 0.0)
    return error


def total_counters(
    stats: pd.DataFrame, by: list[str] | None = None, *, digits: int | None = None
) -> pd.DataFrame:
    """
    Sum the traffic and disk use of each service.

    Columns: those of `by` (service), containers, restarts, and for each counter the total
    (`net_in_bytes`; NaN where none was measured) and `..._error`, the error of the total if all
    readings were rounded in the same direction. Counts between a container's last sample and its
    end are in no log, so a total is a lower bound.
    """
    by = by or ["service"]
    counted = without_restarts(stats)
    each = dict.fromkeys(by, "first") | dict.fromkeys([*COUNTERS, "restarts"], "max")
    highest = counted.groupby(_owners(counted)).agg(each)
    for name in COUNTERS:
        highest[f"{name}_error"] = rounding_error(highest[name], digits)
    groups = highest.groupby(by)
    sums = groups[[n for name in COUNTERS for n in (name, f"{name}_error")]].sum(min_count=1)
    sums.insert(0, "containers", groups.size())
    sums.insert(1, "restarts", groups["restarts"].sum())
    return sums.reset_index()
