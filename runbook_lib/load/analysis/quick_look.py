"""
A first look at a load just recorded: was it steady, did the queue hold, what did each step do.

The full analysis, with its fits and intervals, is 11_load_analysis.
"""

import pandas as pd

from runbook_lib.core.charts import alt
from runbook_lib.load.analysis.throughput import TASK_QUEUE
from runbook_lib.load.recordings.schema import Recording


def tasks_published(recording: Recording) -> int:
    """
    How many tasks were dealt during the recording; a broker that restarted counts from zero.
    """
    counts = recording.queues.loc[recording.queues["queue"] == TASK_QUEUE, "published"]
    return int(counts.diff().clip(lower=0).sum())


def plot_rates(points: pd.DataFrame) -> alt.Chart:
    """
    Throughput against replicas, a point a step; the title says which count did most.
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
    Messages waiting over time, each step shaded; the title says if the workers ran out of tasks.
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
    line = alt.Chart(shown, title=title).mark_line(color="#333")
    line = line.encode(
        x=alt.X("time:T", title="time (UTC)").scale(type="utc"),
        y=alt.Y("ready:Q", title="messages waiting"),
        strokeDash=alt.StrokeDash("queue:N", title="queue", sort=[TASK_QUEUE]),
    )
    layers = (bands.encode(x="began:T", x2="ended:T", color=workers), line)
    return alt.layer(*layers).properties(width=620, height=200)
