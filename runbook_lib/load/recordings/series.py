"""
Even time series of services and nodes from samples of containers: CPU, memory, replicas, traffic.
"""

import numpy as np
import pandas as pd

from runbook_lib.load.recordings.counters import COUNTERS, without_restarts

STEPS = 5
STILL_S = 30.0
LEVELS = ["cpu_percent", "memory_bytes"]


def even_series(
    stats: pd.DataFrame, by: list[str] | None = None, *, width_s: float = 10.0
) -> pd.DataFrame:
    """
    Sum over containers in even bins of `width_s`; each node was sampled at other times.

    Columns: time (the bin's begin), those of `by` (service), containers (running, averaged over
    the bin), cpu_percent and memory_bytes (summed over containers), and for each counter the
    running total (`net_in_bytes`) and its rate (`net_in_bytes_per_s`). Between two samples of a
    container its counters are taken to grow evenly, so that the rates add up to the totals
    for any width. What it had counted before its first sample is in the total only.
    """
    by = by or ["service"]
    if stats.empty:
        return pd.DataFrame(columns=["time", *by, "containers", *LEVELS, *COUNTERS])
    counted = without_restarts(stats)
    origin = counted["time"].min().floor(f"{width_s}s")
    at = (counted["time"] - origin).dt.total_seconds().to_numpy()
    bins = int(at.max() // width_s) + 1
    edges = width_s * np.arange(bins + 1)
    keys = list(dict.fromkeys([*by, "node", "container"]))
    sums: dict[tuple[str, ...], np.ndarray] = {}
    before: dict[tuple[str, ...], np.ndarray] = {}
    columns = counted[[*LEVELS, *COUNTERS]].to_numpy(float)
    for rows in counted.groupby(keys, sort=False).indices.values():
        group = tuple(counted[by].iloc[rows[0]])
        if group not in sums:
            sums[group] = np.zeros((bins + 1, 1 + len(LEVELS) + len(COUNTERS)))
            before[group] = np.zeros((bins + 1, len(COUNTERS)))
        sums[group] += _at_edges(at[rows], columns[rows], edges)
        first = np.nan_to_num(columns[rows[0], len(LEVELS) :])
        before[group][edges > at[rows[0]]] += first
    frames = []
    for group, edge_values in sums.items():
        steps = np.diff(edge_values, axis=0) / width_s
        levels = 1 + len(LEVELS)
        frame = pd.DataFrame(steps[:, :levels], columns=["containers", *LEVELS])
        frame[COUNTERS] = (edge_values[:, levels:] + before[group])[1:]
        frame[[f"{name}_per_s" for name in COUNTERS]] = steps[:, levels:]
        frame.insert(0, "time", origin + pd.to_timedelta(edges[:-1], unit="s"))
        for place, (name, value) in enumerate(zip(by, group, strict=True), 1):
            frame.insert(place, name, value)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _at_edges(at: np.ndarray, values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """
    One container at the edges of bins: seconds lived, CPU and memory integrated over them, and
    counters, from zero at its first sample (they stand still before it and after its last).
    """
    lived = np.clip(edges, at[0], at[-1]) - at[0]
    columns = [lived]
    for column in range(values.shape[1]):
        known = np.isfinite(values[:, column])
        if not known.any():
            columns.append(np.zeros(len(edges)))
            continue
        when, what = at[known], values[known, column]
        if column < len(LEVELS):
            middles = (what[1:] + what[:-1]) / 2 * np.diff(when)
            what = np.r_[0.0, np.cumsum(middles)]
        else:
            steps = _steps(when, what)
            when, what = when[steps], what[steps] - what[0]
        columns.append(np.interp(edges, when, what))
    return np.column_stack(columns)


def _steps(when: np.ndarray, what: np.ndarray) -> np.ndarray:
    """
    Choose the readings of a counter to interpolate between: all, or for a rounded counter those
    some steps apart, and both ends of a pause.

    Over 10 GB three digits are steps of 0.1 GB: 13 MB/s, read every 8 s, would show as 12.5 MB/s
    with bursts of 25. A rate between readings five steps apart is wrong by a fifth at most.
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
