"""
The throughput of a recorded run: tiles a second in the steady state of each step.
"""

import numpy as np
import pandas as pd

from runbook_lib.load.recordings.schema import Recording

TASK_QUEUE = "TASK_QUEUE"
SHORTEST_S = 60.0
"""Of a stretch of an autoscaled run; a shorter one is only a step to another replica count."""

COLUMNS = ["step", "repetition", "replicas", "seconds", "tiles_per_s", "waiting", "counted_by"]


def step_points(recording: Recording) -> pd.DataFrame:
    """
    One row a step: step, repetition, replicas, seconds, tiles_per_s, waiting (median of the tasks
    in the queue; with none the dealer set the pace, NaN: not recorded), counted_by.

    Tiles are counted by the workers, else as messages acknowledged in TASK_QUEUE. Steps that were
    never steady, or not counted, are left out. A run without steps is split where the replicas
    changed; there, without a count, the published rate stands for the throughput: over a minute
    they are equal as long as the queue does not grow.
    """
    if recording.steps.empty:
        return _stretches(recording)
    rows = []
    steps = recording.steps.dropna(subset="steady_from")
    windows = zip(steps["steady_from"], steps["ended"], strict=True)
    for step, (began, ended) in zip(steps.itertuples(), windows, strict=True):
        seconds = (ended - began).total_seconds()
        if seconds <= 0:
            continue
        counted_by, done = _counted(recording, began, ended)
        if not np.isnan(done):
            waiting = _waiting(recording.queues, began, ended)
            rate = done / seconds
            rows.append(
                (step.step, step.repetition, step.replicas, seconds, rate, waiting, counted_by)
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def _counted(recording: Recording, began: pd.Timestamp, ended: pd.Timestamp) -> tuple[str, float]:
    done = _tiles_done(recording.workers, began, ended)
    if not np.isnan(done):
        return "workers", done
    return "queue", _acknowledged(recording.queues, began, ended)


def _tiles_done(workers: pd.DataFrame, began: pd.Timestamp, ended: pd.Timestamp) -> float:
    """
    The growth of each task's counter between the two times, interpolated between its records.
    Where an edge lies a moment beyond its first or last record, it is assumed to have gone on as
    before.
    """
    edges = np.array([began.timestamp(), ended.timestamp()])
    counts = []
    for _, own in workers.sort_values("time").groupby("task"):
        times = own["time"].map(pd.Timestamp.timestamp).to_numpy(dtype=float)
        if len(times) < 2 or times[-1] < edges[0] or times[0] > edges[1]:
            continue
        first, last = np.interp(edges, times, own["tiles_done"].to_numpy(dtype=float)).tolist()
        covered = min(edges[1], times[-1]) - max(edges[0], times[0])
        moment = 2 * float(np.median(np.diff(times)))
        missing = np.array([times[0] - edges[0], edges[1] - times[-1]])
        missing = missing[(missing > 0) & (missing <= moment)].sum()
        counts.append((last - first) * (1 + missing / covered) if covered > 0 else 0.0)
    return float(sum(counts)) if counts else np.nan


def _acknowledged(queues: pd.DataFrame, began: pd.Timestamp, ended: pd.Timestamp) -> float:
    tasks = queues[queues["queue"] == TASK_QUEUE].dropna(subset="acknowledged")
    tasks = tasks.sort_values("time")
    if len(tasks) < 2 or tasks["time"].iloc[-1] < began or tasks["time"].iloc[0] > ended:
        return np.nan
    steps = tasks["acknowledged"].diff().fillna(0.0)
    # a broker that restarted counts from zero, so its count is what was done since
    grown = steps.where(steps >= 0, tasks["acknowledged"]).cumsum().to_numpy()
    times = tasks["time"].map(pd.Timestamp.timestamp).to_numpy(dtype=float)
    first, last = np.interp([began.timestamp(), ended.timestamp()], times, grown).tolist()
    return float(last - first)


def _waiting(queues: pd.DataFrame, began: pd.Timestamp, ended: pd.Timestamp) -> float:
    within = queues["time"].between(began, ended) & (queues["queue"] == TASK_QUEUE)
    return float(queues.loc[within, "ready"].median()) if within.any() else np.nan


def _stretches(recording: Recording) -> pd.DataFrame:
    rates = recording.autoscaler.dropna(subset=["published_per_s", "running"])
    rates = rates.sort_values("time")
    rows: list[tuple[object, ...]] = []
    changed = (rates["running"] != rates["running"].shift()) | (
        (rates["light"] == "GREY") != (rates["light"].shift() == "GREY")
    )
    seen: dict[int, int] = {}
    for _, own in rates.groupby(changed.cumsum()):
        began, ended = own["time"].iloc[0], own["time"].iloc[-1]
        seconds = (ended - began).total_seconds()
        mean = float(own["published_per_s"].mean())
        if seconds < SHORTEST_S or mean <= 0 or own["light"].iloc[0] == "GREY":
            continue
        replicas = int(own["running"].iloc[0])
        repetition = seen.get(replicas, 0)
        seen[replicas] = repetition + 1
        waiting = _waiting(recording.queues, began, ended)
        counted_by, done = _counted(recording, began, ended)
        counted_by, rate = ("publishing", mean) if np.isnan(done) else (counted_by, done / seconds)
        rows.append((len(rows), repetition, replicas, seconds, rate, waiting, counted_by))
    return pd.DataFrame(rows, columns=COLUMNS)
