"""
Settings of the autoscaler side by side: the queue and the replicas of each, as small multiples.
"""

from collections.abc import Mapping

import pandas as pd

from runbook_lib.core.charts import alt
from runbook_lib.load.autoscaling.search import Objective, figures
from runbook_lib.load.autoscaling.simulation import Simulation

_QUEUE, _RUNNING, _WANTED = "#3b5bdb", "#1b7f79", "#e8590c"
_POINTS = 400


def plot_settings(runs: Mapping[str, Simulation], objective: Objective) -> alt.VConcatChart:
    """
    Draw a column a setting, in the order given: waiting tasks, and replicas running and wanted.
    """
    columns = []
    deepest = max(float(run.timeline["waiting"].max()) for run in runs.values()) * 1.05 + 1
    widest = max(float(run.timeline["wanted"].max()) for run in runs.values()) + 1
    longest = max(len(run.timeline) for run in runs.values()) / 60
    x = alt.X("minutes:Q", title="minutes").scale(domain=[0, longest], nice=False)
    which = alt.Color("which:N", title=None).legend(orient="bottom")
    which = which.scale(domain=["running", "wanted"], range=[_RUNNING, _WANTED])
    scores = {}
    for number, (name, run) in enumerate(runs.items()):
        found = figures(run, objective)
        scores[name] = found["score_usd"]
        table = _thin(run.timeline)
        y = alt.Y("waiting:Q", title=None if number else "tasks waiting")
        waiting = alt.Chart(table).mark_area(color=_QUEUE, opacity=0.6)
        waiting = waiting.encode(x=x.title(None), y=y.scale(domain=[0, deepest]))
        subtitle = [
            f"{found['score_usd']:.3f} USD · {found['seconds_in_queue']:.0f} s in queue",
            f"{found['replica_hours']:.1f} replica-h · {found['turns_per_h']:.1f} turns/h",
        ]
        title = alt.Title(name, subtitle=subtitle, anchor="start", fontSize=11)
        long = table.melt("minutes", ["running", "wanted"], "which", "replicas")
        y = alt.Y("replicas:Q", title=None if number else "replicas")
        replicas = alt.Chart(long).mark_line(interpolate="step-after")
        replicas = replicas.encode(x=x, y=y.scale(domain=[0, widest]), color=which)
        parts = (
            waiting.properties(width=190, height=90, title=title),
            replicas.properties(width=190, height=90),
        )
        columns.append(alt.vconcat(*parts, spacing=6))
    rows = [alt.hconcat(*columns[at : at + 3]) for at in range(0, len(columns), 3)]
    title = alt.Title(_title(scores), subtitle=repr(objective).split(" + "), anchor="start")
    return alt.vconcat(*rows).properties(title=title)


def _thin(timeline: pd.DataFrame) -> pd.DataFrame:
    """
    The highest of each stretch: means of the queue would hide its peaks.
    """
    size = max(1, len(timeline) // _POINTS)
    table = timeline.groupby(timeline["second"] // size)[["waiting", "running", "wanted"]].max()
    return table.assign(minutes=table.index * size / 60).reset_index(drop=True)


def _title(scores: Mapping[str, float]) -> str:
    best, worst = min(scores, key=lambda n: scores[n]), max(scores, key=lambda n: scores[n])
    if scores[best] == scores[worst]:
        return f"All {len(scores)} settings cost the same, {scores[best]:.3f} USD"
    return (
        f"“{best}” is the best of {len(scores)}: {scores[best]:.3f} USD; "
        f"“{worst}” costs {scores[worst]:.3f}"
    )
