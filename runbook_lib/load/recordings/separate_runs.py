"""
The separate runs in a recording, divided by gaps, new containers or idle time.
"""

from typing import Any

import numpy as np
import pandas as pd

from runbook_lib.load.recordings.counters import COUNTERS, without_restarts
from runbook_lib.load.recordings.series import even_series

BIN_S = 10.0
IDLE_S = 60.0
"""A time this long without traffic, or without a sample, separates two runs."""
IDLE_SHARE = 0.01
"""Traffic below this share of the recording's peak is heartbeats only."""
IDLE_BYTES_PER_S = 10_000.0
RESOLUTION = pd.Timedelta("1us")


def find_runs(stats: pd.DataFrame, *, idle_s: float = IDLE_S) -> pd.DataFrame:
    """
    Find the runs, one per row in order of time; together they contain every sample.

    Columns: run (from 1), began, ended, busy_from, busy_until (traffic; NaT for a run without
    load), busy_s, containers (in total), begins_with (what separates it from the previous run).
    """
    rows = []
    series = even_series(stats, width_s=BIN_S)
    if not series.empty:
        traffic: pd.Series = series.groupby("time")["net_in_bytes_per_s"].sum()
        quiet = max(IDLE_BYTES_PER_S, IDLE_SHARE * float(np.quantile(traffic, 0.99)))
        for began, ended, why in _sessions(stats, idle_s):
            busy = traffic[began.floor(f"{BIN_S}s") : ended] > quiet
            rows += _split(pd.DatetimeIndex(busy.index[busy]), began, ended, why, idle_s)
    runs = pd.DataFrame(rows, columns=["began", "ended", "busy_from", "busy_until", "begins_with"])
    lasted = pd.to_timedelta(runs["busy_until"] - runs["busy_from"])
    containers = [
        stats["container"][stats["time"].between(began, ended)].nunique()
        for began, ended in zip(runs["began"], runs["ended"], strict=True)
    ]
    runs.insert(0, "run", np.arange(1, len(runs) + 1))
    runs.insert(5, "busy_s", lasted.dt.total_seconds())
    runs.insert(6, "containers", containers)
    return runs


def total_by_run(stats: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """
    Sum each service's counters per run; the runs of a recording add up to its total.

    Columns: run, service, and the counters. Counts between two runs belong to the later one.
    """
    counted = without_restarts(stats)
    number = runs["began"].searchsorted(counted["time"], side="right")
    keys = ["service", "node", "container"]
    highest = counted.assign(run=number).groupby([*keys, "run"])[COUNTERS].max()
    earlier = highest.groupby(level=keys).shift(fill_value=0.0)
    return (highest - earlier).groupby(level=["run", "service"]).sum(min_count=1).reset_index()


def _sessions(stats: pd.DataFrame, idle_s: float) -> list[tuple[pd.Timestamp, pd.Timestamp, str]]:
    """
    Split the time where no container continues, or no sample exists.
    """
    times = stats["time"].drop_duplicates().sort_values(ignore_index=True)
    lives = stats.groupby(["node", "container"])["time"].agg(["min", "max"]).sort_values("min")
    outlived = lives["max"].cummax().shift()
    fresh = set(lives["min"][lives["min"] > outlived])
    pauses = times.diff()
    usual = pauses.median() if len(pauses) > 1 else pd.Timedelta(0)
    limit = max(pd.Timedelta(seconds=idle_s), 5 * usual)
    cuts = [n for n, t in enumerate(times) if n and (t in fresh or pauses[n] > limit)]
    sessions = []
    for first, after in zip([0, *cuts], [*cuts, len(times)], strict=True):
        why = "the recording begins"
        if first:
            pause = f"{pauses[first].total_seconds():.0f} s without a sample"
            why = f"new containers, after {pause}" if times[first] in fresh else pause
        sessions.append((times[first], times[after - 1], why))
    return sessions


def _split(
    busy: pd.DatetimeIndex, began: pd.Timestamp, ended: pd.Timestamp, why: str, idle_s: float
) -> list[tuple[Any, ...]]:
    """
    Split a session into busy periods, each with the idle time after it.
    """
    if not len(busy):
        return [(began, ended, pd.NaT, pd.NaT, why)]
    pauses_s = np.diff(busy.to_numpy()) / np.timedelta64(1, "s") - BIN_S
    later = 1 + np.flatnonzero(pauses_s >= idle_s)
    stretches = []
    for begin, end in zip([0, *later], [*later, len(busy)], strict=True):
        start = busy[begin] if begin else began
        stop = busy[end] - RESOLUTION if end < len(busy) else ended
        last = min(busy[end - 1] + pd.Timedelta(seconds=BIN_S), ended)
        reason = f"{pauses_s[begin - 1]:.0f} s without traffic" if begin else why
        stretches.append((start, stop, max(busy[begin], began), last, reason))
    return stretches
