"""
Counters that start again at zero with their container, and that were rounded, summed.

A service's total is the sum over its containers of what each counted. A container that restarts
keeps its id and counts again from zero: each stretch counts with its highest reading. A reading of
zero after a higher one is no restart but no reading (a container that goes away shows it last):
only what grows again from a small reading has restarted. A dip by less than half is a late line, or
a network that was taken away: the highest reading stands.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

COUNTERS = ["net_in_bytes", "net_out_bytes", "block_in_bytes", "block_out_bytes"]
RESTART = 0.5
"""A reading above zero and under this share of the one before it is a new start."""

Floats = npt.NDArray[np.float64]
Owners = npt.NDArray[np.integer]


class Unrolled:
    """
    One counter of many owners, made to go on over restarts; blocks come in order of time.
    """

    def __init__(self) -> None:
        self.last = np.zeros(0)  # of each owner: the last reading above zero,
        self.peak = np.zeros(0)  # the highest one since its last start,
        self.before = np.zeros(0)  # and what it had counted until that start
        self.restarts = np.zeros(0, dtype=np.int64)

    def add(self, owner: Owners, readings: Floats) -> Floats:
        """
        What each row's owner has counted by then; NaN where there was no measurement.
        """
        if not len(owner):
            return readings
        self._grow(int(owner.max()) + 1)
        order = np.argsort(owner, kind="stable")
        who = owner[order]
        first = np.r_[True, who[1:] != who[:-1]]
        value = np.where(readings[order] > 0, readings[order], np.nan)
        value = np.where(first & np.isnan(value), self.last[who], value)
        filled = pd.Series(value).ffill().to_numpy()  # an owner's first row is never NaN

        previous = np.where(first, self.last[who], np.r_[0.0, filled[:-1]])
        again = filled < RESTART * previous
        started = np.where(first & ~again, np.maximum(filled, self.peak[who]), filled)
        stretch = np.cumsum(first | again)
        peak = pd.Series(started).groupby(stretch, sort=False).cummax().to_numpy()
        ended = np.where(again, np.where(first, self.peak[who], np.r_[0.0, peak[:-1]]), 0.0)
        # the sum of ended stretches within one owner: the running sum, less that at its first row
        running = np.cumsum(ended)
        at = np.maximum.accumulate(np.where(first, np.arange(len(who)), 0))
        before = self.before[who] + running - (running - ended)[at]

        last_row = np.r_[first[1:], True]
        for state, rows in ((self.last, filled), (self.peak, peak), (self.before, before)):
            state[who[last_row]] = rows[last_row]
        np.add.at(self.restarts, who[again], 1)
        counted = np.empty(len(owner))
        counted[order] = np.where(np.isnan(readings[order]), np.nan, peak + before)
        return counted

    def _grow(self, size: int) -> None:
        more = size - len(self.last)
        if more > 0:
            self.last, self.peak, self.before = (
                np.r_[state, np.zeros(more)] for state in (self.last, self.peak, self.before)
            )
            self.restarts = np.r_[self.restarts, np.zeros(more, dtype=np.int64)]


def without_restarts(stats: pd.DataFrame) -> pd.DataFrame:
    """
    The same samples in order of time, with counters that go on where a container started again.

    The column `restarts` says how often its container did in the whole recording.
    """
    stats = stats.sort_values("time", kind="stable", ignore_index=True)
    owner = stats.groupby(["node", "container"], sort=False).ngroup().to_numpy()
    restarts = np.zeros(len(stats), dtype=np.int64)
    for name in COUNTERS:
        unrolled = Unrolled()
        stats[name] = unrolled.add(owner, stats[name].to_numpy())
        restarts = np.maximum(restarts, unrolled.restarts[owner])
    return stats.assign(restarts=restarts)


def rounding_error(values: pd.Series, digits: int | None) -> pd.Series:
    """
    The most that rounding to so many digits can have added or taken away; 0 for None.
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
    What each service sent, received, read and wrote in all.

    Columns: those of `by` (service), containers, restarts, and for each counter the total
    (`net_in_bytes`; NaN where none was measured) and `..._error`: were all readings rounded the
    same way, the total would be wrong by that much. What a container counted between its last
    sample and its end is in no log, so a total is a lower bound.
    """
    by = by or ["service"]
    keys = list(dict.fromkeys([*by, "node", "container"]))
    counted = without_restarts(stats)
    highest = counted.groupby(keys, sort=False)[[*COUNTERS, "restarts"]].max().reset_index()
    for name in COUNTERS:
        highest[f"{name}_error"] = rounding_error(highest[name], digits)
    groups = highest.groupby(by, sort=True)
    sums = groups[[n for name in COUNTERS for n in (name, f"{name}_error")]].sum(min_count=1)
    sums.insert(0, "containers", groups.size())
    sums.insert(1, "restarts", groups["restarts"].sum())
    return sums.reset_index()


@dataclass(frozen=True)
class Balance:
    """
    What the broker received beside what the other services say that they sent.
    """

    received_bytes: float
    sent_bytes: float

    @property
    def unaccounted_share(self) -> float:
        return max(0.0, 1 - self.sent_bytes / self.received_bytes)

    def __repr__(self) -> str:
        return (
            f"the broker received {self.received_bytes / 1e9:.2f} GB, and the containers seen "
            f"sent {self.sent_bytes / 1e9:.2f} GB: {self.unaccounted_share:.0%} came from others"
        )


def broker_balance(totals: pd.DataFrame) -> Balance | None:
    """
    Compare both ends of all messages, from totals by service; None where one end was not seen.
    """
    broker = totals["service"].str.startswith("rabbitmq")
    received = totals.loc[broker, "net_in_bytes"].sum()
    sent = totals.loc[~broker, "net_out_bytes"].sum()
    return Balance(float(received), float(sent)) if received > 0 else None
