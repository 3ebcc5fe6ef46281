"""
The throughput of a recorded run in the steady state of each step, and first charts of a new
recording: rates and queue. The full analysis is 11_load_analysis.
"""

from typing import Any

import numpy as np
import pandas as pd

from runbook_lib.core.charts import alt, highest
from runbook_lib.core.words import count_of
from runbook_lib.load.analysis.at_work import Spans, within
from runbook_lib.load.recordings.schema import Recording

TASK_QUEUE, DEAD_LETTER_QUEUE = "TASK_QUEUE", "DEAD_LETTER_QUEUE"
POINTS = ["step", "repetition", "replicas", "seconds", "tiles_per_s", "waiting", "counted_by"]
POINTS += ["began", "ended", "throttled"]
SHORTEST_S = 60.0
"""Least duration of a period in an autoscaled run; shorter ones are replica changes in progress."""


def step_points(recording: Recording, unusable: Spans = ()) -> pd.DataFrame:
    """
    Return one row per step: step, repetition, replicas, seconds, tiles_per_s, waiting (median of
    the tasks in the queue; zero: the dealer set the pace, NaN: not recorded), counted_by, the time
    that was counted (began, ended), and throttled: whether a tenth of it is in `unusable`, see
    `overrun.unusable_spans`. A run without steps is not counted in that time.

    Tiles are counted by the workers, else as messages acknowledged in TASK_QUEUE. Steps that were
    never steady, or not counted, are left out. A run without steps is split where the replicas
    changed; without a count, the published rate then replaces the throughput: over a minute they
    are equal as long as the queue does not grow.
    """
    rows = []
    tasks = recording.queues[recording.queues["queue"] == TASK_QUEUE]
    for step, repetition, replicas, began, ended, published in _windows(recording, unusable):
        seconds = (ended - began).total_seconds()
        if seconds <= 0:
            continue
        rates = {
            "workers": _tiles_done(recording.workers, began, ended) / seconds,
            "queue": _acknowledged(tasks, began, ended) / seconds,
            "publishing": published,
        }
        counted_by = next((by for by, rate in rates.items() if not np.isnan(rate)), None)
        if counted_by is not None:
            waiting = tasks.loc[tasks["time"].between(began, ended), "ready"].median()
            rate = rates[counted_by]
            step_of = (step, repetition, replicas, seconds)
            lost = sum(
                max(0.0, (min(ended, b) - max(began, a)).total_seconds()) for a, b in unusable
            )
            rows.append((*step_of, rate, waiting, counted_by, began, ended, lost > 0.1 * seconds))
    return pd.DataFrame(rows, columns=POINTS)


def left_out_steps(points: pd.DataFrame) -> list[str]:
    """
    Say which steps are no evidence for the law, and why.
    """
    reasons = []
    for row in points[points["tiles_per_s"] <= 0].to_dict("records"):
        workers = count_of(int(row["replicas"]), "worker")
        reasons.append(f"step {row['step']} ({workers}) did 0 tiles/s and is left out")
    throttled = points[points["throttled"].astype(bool)]
    if len(throttled):
        steps = ", ".join(str(step) for step in throttled["step"])
        reasons.append(f"step {steps} ran without the full CPU of its machines and is left out")
    return reasons


def _windows(recording: Recording, unusable: Spans) -> list[tuple[Any, ...]]:
    """
    Return step, repetition, replicas, begin, end and published rate (NaN for a step) of each
    window.
    """
    if not recording.steps.empty:
        steps = recording.steps.dropna(subset="steady_from").assign(published=np.nan)
        columns = ["step", "repetition", "replicas", "steady_from", "ended", "published"]
        return list(steps[columns].itertuples(index=False, name=None))
    rates = recording.autoscaler.dropna(subset=["published_per_s", "running"]).sort_values("time")
    idle = rates["light"] == "GREY"
    lost = within(rates["time"], unusable)
    changed = rates["running"] != rates["running"].shift()
    for state in (idle, lost):
        changed |= state != state.shift(fill_value=False)
    windows: list[tuple[Any, ...]] = []
    for _, own in rates[~lost].groupby(changed.cumsum()[~lost]):
        began, ended = own["time"].iloc[0], own["time"].iloc[-1]
        mean = float(own["published_per_s"].mean())
        at_work = mean > 0 and own["light"].iloc[0] != "GREY"
        if at_work and (ended - began).total_seconds() >= SHORTEST_S:
            replicas = int(own["running"].iloc[0])
            repetition = sum(window[2] == replicas for window in windows)
            windows.append((len(windows), repetition, replicas, began, ended, mean))
    return windows


def _tiles_done(workers: pd.DataFrame, began: pd.Timestamp, ended: pd.Timestamp) -> float:
    """
    Sum the growth of each task's counter between the two times, interpolated between its records.
    Just outside its first or last record, its rate is assumed to continue.
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


def _acknowledged(tasks: pd.DataFrame, began: pd.Timestamp, ended: pd.Timestamp) -> float:
    tasks = tasks.dropna(subset="acknowledged").sort_values("time")
    if len(tasks) < 2 or tasks["time"].iloc[-1] < began or tasks["time"].iloc[0] > ended:
        return np.nan
    steps = tasks["acknowledged"].diff().fillna(0.0)
    # a restarted broker counts from zero, so its count is the work done since
    grown = steps.where(steps >= 0, tasks["acknowledged"]).cumsum().to_numpy()
    times = tasks["time"].map(pd.Timestamp.timestamp).to_numpy(dtype=float)
    first, last = np.interp([began.timestamp(), ended.timestamp()], times, grown).tolist()
    return float(last - first)


def tasks_published(recording: Recording) -> int:
    """
    Count the tasks published during the recording; a restarted broker counts from zero.
    """
    counts = recording.queues.loc[recording.queues["queue"] == TASK_QUEUE, "published"]
    return int(counts.diff().clip(lower=0).sum())


def dead_letters(recording: Recording) -> float:
    """
    Count the messages that were buried during the recording; NaN if their queue was not recorded.

    Of a broker without counters, as many as the queue has more at the end.
    """
    rows = recording.queues[recording.queues["queue"] == DEAD_LETTER_QUEUE].sort_values("time")
    if rows.empty:
        return float("nan")
    published = rows["published"].fillna(0).diff().clip(lower=0).sum()
    kept = rows["ready"].iloc[-1] - rows["ready"].iloc[0]
    return float(max(published, kept, 0))


def plot_rates(points: pd.DataFrame) -> alt.Chart:
    """
    Draw throughput against replicas, one point per step; the title names the best count.
    """
    means = points.groupby("replicas")["tiles_per_s"].mean()
    title = "No step became steady"
    if len(means):
        title = f"{means.idxmax()} workers did most: {means.max():.0f} tiles/s"
    table = points.assign(repetition=points["repetition"].astype(str))
    chart = alt.Chart(table, title=title, width=420, height=220)
    drawn: alt.Chart = chart.mark_point(filled=True, size=70).encode(
        x=alt.X("replicas:Q", title="workers").axis(tickMinStep=1),
        y=alt.Y("tiles_per_s:Q", title="tiles done, per second").scale(zero=True),
        color=alt.Color("repetition:N", title="repetition"),
    )
    return drawn


def plot_queue(recording: Recording, points: pd.DataFrame) -> "alt.LayerChart | alt.FacetChart":
    """
    Draw waiting messages over time, steps shaded; the title states if workers ran out of tasks.
    """
    shown = recording.queues[recording.queues["queue"].isin([TASK_QUEUE, "RESULT_QUEUE"])]
    tasks = shown[shown["queue"] == TASK_QUEUE]
    dry = int((points["waiting"] < 1).sum())
    title = f"No step ran out of tasks: {points['waiting'].min():.0f} or more waited (median)"
    if points.empty:
        title = f"At most {tasks['ready'].max():.0f} tasks waited"
    elif dry:
        title = f"In {dry} of {len(points)} steps the workers ran out of tasks"
    steps = recording.steps.assign(replicas=recording.steps["replicas"].astype(str))
    workers = alt.Color("replicas:N", title="workers", sort=None)
    bands = alt.Chart(steps).mark_rect(opacity=0.25)
    line = alt.Chart(highest(shown, ["ready"], ["queue"]), title=title).mark_line(color="#333")
    line = line.encode(
        x=alt.X("time:T", title="time (UTC)").scale(type="utc").axis(format="%H:%M:%S"),
        y=alt.Y("ready:Q", title="messages waiting"),
        strokeDash=alt.StrokeDash("queue:N", title="queue", sort=[TASK_QUEUE]),
    )
    layers = (bands.encode(x="began:T", x2="ended:T", color=workers), line)
    return alt.layer(*layers).properties(width=620, height=200)
