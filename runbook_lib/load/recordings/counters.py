"""
Sum counters that were rounded, and that start again at zero with their container.

A service's total is the sum of what each of its containers counted. A container that restarts keeps
its id and counts from zero again: the highest reading of each stretch counts. A reading of zero
after a higher one is not a restart (a container that goes away shows it last): only a counter that
grows again from a small reading has restarted. A dip by less than half is a late line, or a network
that was removed: the highest reading counts.
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
    The counters of many owners, made to go on over restarts; blocks come in order of time.

    An array of the state has a row for each counter and a column for each owner.
    """

    def __init__(self, counters: int = 1) -> None:
        none: Floats = np.zeros((counters, 0))
        self.last = none  # the last reading above zero,
        self.peak = none  # the highest one since the last start,
        self.before = none  # what was counted until that start,
        self.restarts = none  # and how many starts there were after the first

    def add(self, owner: Owners, *readings: Floats) -> list[Floats]:
        """
        For each counter, what the owner of each row has counted by then; NaN where not measured.
        """
        if not len(owner):
            return list(readings)
        more = int(owner.max()) + 1 - self.last.shape[1]
        if more > 0:
            self.last, self.peak, self.before, self.restarts = (
                np.pad(state, ((0, 0), (0, more)))
                for state in (self.last, self.peak, self.before, self.restarts)
            )
        order = np.argsort(owner, kind="stable")
        who = owner[order]
        first = np.r_[True, who[1:] != who[:-1]]
        counted = []
        for number, column in enumerate(readings):
            answer = np.empty(len(owner))
            answer[order] = self._add(number, who, first, column[order])
            counted.append(answer)
        return counted

    def _add(self, number: int, who: Owners, first: npt.NDArray[np.bool_], read: Floats) -> Floats:
        """
        One counter, with the rows of each owner side by side, the `first` of each marked.
        """
        states = last, peak, before = self.last[number], self.peak[number], self.before[number]
        filled = np.where(read > 0, read, np.nan)
        if np.isnan(filled).any():
            filled = np.where(first & np.isnan(filled), last[who], filled)
            filled = pd.Series(filled).ffill().to_numpy()  # an owner's first row is never NaN
        previous = np.where(first, last[who], np.r_[0.0, filled[:-1]])
        ends = np.r_[np.flatnonzero(first[1:]), len(who) - 1]
        if (filled >= previous).all() and (filled[first] >= peak[who[first]]).all():
            highest, until = filled, before[who]  # it only grew, as it nearly always does
        else:
            highest, until = self._over_restarts(number, who, first, filled, previous)
        for state, rows in zip(states, (filled, highest, until), strict=True):
            state[who[ends]] = rows[ends]
        counted: Floats = np.where(np.isnan(read), np.nan, highest + until)
        return counted

    def _over_restarts(
        self, number: int, who: Owners, first: npt.NDArray[np.bool_], filled: Floats, prior: Floats
    ) -> tuple[Floats, Floats]:
        """
        The highest reading since the last start, and what was counted until that start.
        """
        peak = self.peak[number][who]
        again = filled < RESTART * prior
        started = np.where(first & ~again, np.maximum(filled, peak), filled)
        stretch = np.cumsum(first | again)
        highest = np.asarray(pd.Series(started).groupby(stretch, sort=False).cummax(), dtype=float)
        ended = np.where(again, np.where(first, peak, np.r_[0.0, highest[:-1]]), 0.0)
        # the sum of ended stretches within one owner: the running sum, less that at its first row
        running = np.cumsum(ended)
        at = np.maximum.accumulate(np.where(first, np.arange(len(who)), 0))
        np.add.at(self.restarts[number], who[again], 1)
        return highest, self.before[number][who] + running - (running - ended)[at]


def without_restarts(stats: pd.DataFrame) -> pd.DataFrame:
    """
    The same samples in order of time, with counters that go on where a container started again.

    The column `restarts` counts those of the row's container in the whole recording.
    """
    if not stats["time"].is_monotonic_increasing:
        stats = stats.sort_values("time", kind="stable", ignore_index=True)
    owner = _owners(stats)
    unrolled = Unrolled(len(COUNTERS))
    counted = unrolled.add(owner, *(stats[name].to_numpy(float) for name in COUNTERS))
    restarts = unrolled.restarts.max(axis=0)[owner] if len(owner) else owner
    return stats.assign(**dict(zip(COUNTERS, counted, strict=True)), restarts=restarts)


def _owners(stats: pd.DataFrame) -> Owners:
    """
    Each row's container as a number: the same short id on two nodes is two of them.
    """
    container, ids = pd.factorize(stats["container"])
    node, _ = pd.factorize(stats["node"])
    owner, _ = pd.factorize(node * np.int64(len(ids) + 1) + container)
    return np.asarray(owner, dtype=np.int64)


def rounding_error(values: pd.Series, digits: int | None) -> pd.Series:
    """
    The largest error of rounding to so many digits; 0 for None.
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
    Sum what each service sent, received, read and wrote.

    Columns: those of `by` (service), containers, restarts, and for each counter the total
    (`net_in_bytes`; NaN where none was measured) and `..._error`: were all readings rounded the
    same way, the total would be wrong by that much. What a container counted between its last
    sample and its end is in no log, so a total is a lower bound.
    """
    by = by or ["service"]
    counted = without_restarts(stats)
    owner = _owners(counted)
    highest = counted.groupby(owner, sort=True)[[*COUNTERS, "restarts"]].max()
    _, where = np.unique(owner, return_index=True)
    highest[by] = counted[by].iloc[where].to_numpy()
    for name in COUNTERS:
        highest[f"{name}_error"] = rounding_error(highest[name], digits)
    groups = highest.groupby(by, sort=True)
    sums = groups[[n for name in COUNTERS for n in (name, f"{name}_error")]].sum(min_count=1)
    sums.insert(0, "containers", groups.size())
    sums.insert(1, "restarts", groups["restarts"].sum())
    return sums.reset_index()


@dataclass(frozen=True)
class BrokerBalance:
    """
    What the broker received, and what the other services sent by their own counters.
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


def broker_balance(totals: pd.DataFrame) -> BrokerBalance | None:
    """
    Compare both ends of all messages, from totals by service; None without a broker.
    """
    broker = totals["service"].str.startswith("rabbitmq")
    received = totals.loc[broker, "net_in_bytes"].sum()
    sent = totals.loc[~broker, "net_out_bytes"].sum()
    return BrokerBalance(float(received), float(sent)) if received > 0 else None
