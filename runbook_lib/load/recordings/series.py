"""
Evenly spaced time series of services and nodes from samples of containers: CPU, memory, replicas,
traffic; and the steady part of such a series after the warm-up, with the most precise mean.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from runbook_lib.core.errors import IntegrityError
from runbook_lib.load.recordings.counters import COUNTERS, without_restarts

MOST_BINS = 1_000_000
"""Two files with dates years apart would fill the memory with nothing."""
STEPS = 5
STILL_S = 30.0
BATCH = 5
"""Readings per batch, so that batch means are nearly independent."""
FEWEST_BATCHES = 8
DRIFT_SHARE = 0.1
DRIFT_ERRORS = 3.0
LEVELS = ["cpu_percent", "memory_bytes"]


def even_series(
    stats: pd.DataFrame, by: list[str] | None = None, *, width_s: float = 10.0
) -> pd.DataFrame:
    """
    Sum over containers in bins of `width_s`; nodes are sampled at different times.

    Columns: time (the bin's begin), those of `by` (service), containers (running, averaged over
    the bin), cpu_percent and memory_bytes (summed over containers), and for each counter the
    running total (`net_in_bytes`) and its rate (`net_in_bytes_per_s`). Between two samples of a
    container its counters are assumed to grow linearly, so that the rates add up to the totals
    for any width. Counts before its first sample are only in the total.

    Raises IntegrityError if the samples span more than `MOST_BINS` bins.
    """
    by = by or ["service"]
    if stats.empty:
        return pd.DataFrame(columns=["time", *by, "containers", *LEVELS, *COUNTERS])
    counted = without_restarts(stats)
    origin = counted["time"].min().floor(f"{width_s}s")
    at = (counted["time"] - origin).dt.total_seconds().to_numpy()
    bins = int(at.max() // width_s) + 1
    if bins > MOST_BINS:
        last = counted["time"].max()
        raise IntegrityError(
            f"expected at most {MOST_BINS * width_s / 86_400:.0f} days in one recording; it has "
            f"{at.max() / 86_400:.0f}",
            evidence=f"first sample {origin:%Y-%m-%d %H:%M:%S}, last {last:%Y-%m-%d %H:%M:%S}",
            next_step="split its files between two runs, into two folders, and read one of them",
        )
    edges = width_s * np.arange(bins + 1)
    keys = list(dict.fromkeys([*by, "node", "container"]))
    sums: dict[tuple[str, ...], np.ndarray] = {}
    columns = counted[[*LEVELS, *COUNTERS]].to_numpy(float)
    for rows in counted.groupby(keys, sort=False).indices.values():
        group = tuple(counted[by].iloc[rows[0]])
        sums[group] = sums.get(group, 0.0) + _at_edges(at[rows], columns[rows], edges)
    levels = 1 + len(LEVELS)
    names = ["containers", *LEVELS, *COUNTERS, *(f"{name}_per_s" for name in COUNTERS)]
    frames = []
    for group, values in sums.items():
        before, grown = values[:, : len(COUNTERS)], values[:, len(COUNTERS) :]
        steps = np.diff(grown, axis=0) / width_s
        totals = (grown[:, levels:] + before)[1:]
        frame = pd.DataFrame(np.c_[steps[:, :levels], totals, steps[:, levels:]], columns=names)
        frame.insert(0, "time", origin + pd.to_timedelta(edges[:-1], unit="s"))
        for place, (name, value) in enumerate(zip(by, group, strict=True), 1):
            frame.insert(place, name, value)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _at_edges(at: np.ndarray, values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """
    Evaluate one container at the edges of bins: its counters before its first sample, seconds
    lived, integrals of CPU and memory, and the counters from zero at that sample (constant before
    it and after the last).
    """
    before = np.outer(edges > at[0], np.nan_to_num(values[0, len(LEVELS) :]))
    columns = [before, np.clip(edges, at[0], at[-1]) - at[0]]
    for column, readings in enumerate(values.T):
        known = np.isfinite(readings)
        when, what = at[known], readings[known]
        if not len(what):
            when = what = np.zeros(1)
        elif column < len(LEVELS):
            what = np.r_[0.0, np.cumsum((what[1:] + what[:-1]) / 2 * np.diff(when))]
        else:
            steps = _steps(when, what)
            when, what = when[steps], what[steps] - what[0]
        columns.append(np.interp(edges, when, what))
    return np.column_stack(columns)


def _steps(when: np.ndarray, what: np.ndarray) -> np.ndarray:
    """
    Choose the readings of a counter for interpolation: all, or for a rounded counter readings
    some steps apart, and both ends of a pause.

    Over 10 GB three digits are steps of 0.1 GB: 13 MB/s, read every 8 s, would show as 12.5 MB/s
    with bursts of 25. A rate between readings five steps apart is wrong by at most a fifth.
    """
    large = what[what >= 1000]
    digits = large / 10 ** (np.floor(np.log10(large)) - 2)
    if not len(large) or (np.abs(digits - np.rint(digits)) > 1e-3).any():
        return np.ones(len(what), dtype=bool)
    unit = 10 ** (np.floor(np.log10(np.maximum(what, 1000))) - 2)
    level = np.floor(what / (STEPS * unit) + 1e-6)
    kept: np.ndarray = np.r_[True, (level[1:] != level[:-1]) | (unit[1:] != unit[:-1])]
    kept[-1] = True
    starts = np.flatnonzero(np.r_[True, what[1:] != what[:-1]])
    ends = np.r_[starts[1:], len(what)] - 1
    stood = when[ends] - when[starts]
    usual = float(np.median(np.diff(when[starts]))) if len(starts) > 1 else 0.0
    pause = stood > max(STILL_S, 3 * usual)
    kept[starts[pause]] = kept[ends[pause]] = True
    return kept


@dataclass(frozen=True)
class SteadyState:
    """
    The mean rate between two times, with its standard error (of batch means).
    """

    began: pd.Timestamp
    ended: pd.Timestamp
    mean: float
    standard_error: float

    @property
    def duration_s(self) -> float:
        return float((self.ended - self.began).total_seconds())


def find_steady_state(rates: pd.Series) -> SteadyState | None:
    """
    Cut the warm-up and the end off an evenly spaced series of rates, indexed by time.

    MSER-5 (White, "An effective truncation heuristic for bias reduction in simulation output",
    1997), first from the front and then from the back: of the cuts that leave half of the series,
    the one with the smallest standard error of the mean. None if a series is too short, has
    gaps, or still drifts after the cuts: its halves differ by a tenth, and by more than chance
    (Geweke's test).
    """
    whole = len(rates) // BATCH
    if whole < FEWEST_BATCHES or not np.isfinite(rates.to_numpy(float)).all():
        return None
    batches = rates.to_numpy(float)[: whole * BATCH].reshape(whole, BATCH).mean(axis=1)
    spare = whole // 2
    first = _best_cut(batches, spare)
    last = whole - _best_cut(batches[first:][::-1], spare - first)
    kept = batches[first:last]
    if _drifts(kept):
        return None
    width = rates.index[1] - rates.index[0]
    return SteadyState(
        began=rates.index[first * BATCH],
        ended=rates.index[last * BATCH - 1] + width,
        mean=float(kept.mean()),
        standard_error=float(kept.std(ddof=1) / np.sqrt(len(kept))),
    )


def _best_cut(batches: np.ndarray, spare: int) -> int:
    """
    Return the number of batches to cut at the front, at most `spare`.
    """
    errors = [batches[cut:].var() / (len(batches) - cut) for cut in range(spare + 1)]
    return int(np.argmin(errors))


def _drifts(batches: np.ndarray) -> bool:
    early, late = np.array_split(batches, 2)
    chance = np.sqrt(early.var(ddof=1) / len(early) + late.var(ddof=1) / len(late))
    apart = abs(late.mean() - early.mean())
    return bool(apart > DRIFT_SHARE * abs(batches.mean()) and apart > DRIFT_ERRORS * chance)
