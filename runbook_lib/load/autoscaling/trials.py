"""
Simulated settings of the autoscaler, with a recorded load or the dealer's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import pandas as pd

from runbook_lib.core.charts import alt
from runbook_lib.core.findings import Finding
from runbook_lib.load.analysis.sizing import Sizing
from runbook_lib.load.autoscaling.search import Objective, figures, search_settings
from runbook_lib.load.autoscaling.simulation import (
    AutoscalerSetting,
    OfferedLoad,
    Simulation,
    Workers,
    recorded_load,
    simulate_autoscaler,
)

DEALT_S = 1200
"""Tasks for a sweep, whose own load exceeds capacity: twenty minutes of work, as dealt."""
SHARE_AT_WORK = 0.6
"""LOAD in the middle of YELLOW, where the policy adds one worker instead of two."""
SHOWN = ["min_scale", "max_scale", "qty_task", "refresh_rate_s"]
FIGURES = ["hours", "seconds_in_queue", "node_hours", "turns_per_h", "score_usd"]


@dataclass(frozen=True, repr=False)
class Trials(Finding):
    """
    The simulated settings; `table`: all, the best first, see `search_settings`; empty if the
    recording is insufficient. `price` simulates the recorded setting with other values, and
    returns its USD.
    """

    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    price: Callable[[Mapping[str, float]], float] | None = None
    refresh_rate_s: int = AutoscalerSetting.refresh_rate_s
    """The best simulated value; the default without trials."""

    @property
    def runners_up(self) -> Finding:
        """
        The best five settings, and their costs.
        """
        if self.table.empty:
            return Finding(self.words)
        best = self.table[[*SHOWN, *FIGURES]].head(5).round(3)
        first, last = self.table["score_usd"].head(5).iloc[[0, -1]]
        words = f"Number {len(best)} costs {last / first - 1:.1%} more than the first."
        return Finding(words, best.rename(columns=lambda name: name.replace("_", " ")))


def try_settings(sizing: Sizing, lights: Sequence[float], objective: Objective) -> Trials:
    """
    Simulate combinations of a few bounds, rates and QTY_TASK, with at most the chosen workers.
    Raises ParameterError if the lights do not increase.
    """
    if sizing.rate is None or sizing.fit is None:
        return Trials("the throughput of the workers")
    most, rate = sizing.chosen, sizing.rate.value
    known = {n: sizing.recording.experiment.get(n) for n in asdict(AutoscalerSetting())}
    given = {name: value for name, value in known.items() if value}
    recorded = AutoscalerSetting(
        **given | dict(zip(("grey", "green", "yellow"), lights, strict=True))
    )
    decided = sizing.recording.autoscaler["published_per_s"].gt(0).any()
    if decided and not sizing.recording.experiment.get("autoscaler_held"):
        load, basis = recorded_load(sizing.recording), "the load that was recorded"
    else:
        load = OfferedLoad(tasks=round(DEALT_S * rate))
        recorded = replace(recorded, batch=max(1, round(rate * recorded.wait_s)))
        basis = f"{load.tasks:,} tasks, as the dealer deals them with BATCH {recorded.batch}"
    known_to = max(most, int(sizing.points["replicas"].max()))
    bounds = {n: min(getattr(recorded, n), known_to) for n in ("min_scale", "max_scale")}
    recorded = replace(recorded, **bounds)
    # by the law; without one, in proportion to the only measured number of workers
    throughput = sizing.fit.throughput
    counts = range(1, known_to + 1)
    by_law = sizing.is_recommendation
    rates = (throughput(n).value if by_law else rate / most * n for n in counts)
    workers = Workers((0.0, *rates))
    # GREEN with all workers at full work, and YELLOW with one worker less
    just_green = recorded.green * (1 - 1 / (2 * most))
    choices = {
        "min_scale": sorted({1, max(1, most // 2), most}),
        "max_scale": sorted({max(1, (3 * most) // 4), most}),
        "qty_task": sorted(
            {max(1, round(rate / most / share)) for share in (0.3, just_green, SHARE_AT_WORK, 0.9)}
        ),
        "refresh_rate_s": (1, 5, 15),
    }
    table = search_settings(load, workers, choices, base=recorded, objective=objective)

    def price(values: Mapping[str, float]) -> float:
        other = replace(recorded, **values)  # type: ignore[arg-type]
        return figures(simulate_autoscaler(other, load, workers), objective)["score_usd"]

    best = {name: int(table[name].iloc[0]) for name in SHOWN}
    tried = {
        "as recorded": recorded,
        "best found": replace(recorded, **best),
        f"always {most} workers": replace(recorded, min_scale=most, max_scale=most),
        "down to one worker": replace(recorded, min_scale=1),
        "double QTY_TASK": replace(recorded, qty_task=2 * recorded.qty_task),
        "decides every 30 s": replace(recorded, refresh_rate_s=30),
    }
    if recorded == replace(recorded, **best):
        del tried["best found"]
    runs = {name: simulate_autoscaler(setting, load, workers) for name, setting in tried.items()}
    words = _words(table, figures(runs["as recorded"], objective)["score_usd"])
    each = "by the law" if by_law else f"each {rate / most:.2g} tiles a second"
    words += f" On paper: {basis}; workers {each}."
    return Trials(words, plot_settings(runs, objective), table, price, best["refresh_rate_s"])


def _words(table: pd.DataFrame, recorded: float) -> str:
    best = table.iloc[0]
    gain = "and as recorded it does not finish in 12 hours"
    if best["score_usd"] == recorded:
        gain = "as recorded: none is better"
    elif np.isfinite(recorded):
        gain = f"{1 - best['score_usd'] / recorded:.0%} less than as recorded"
    near = int((table["score_usd"] <= 1.05 * best["score_usd"]).sum())
    others = f"{near - 1} more lie within 5 % of it" if near > 1 else "no other is within 5 %"
    chosen = ", ".join(f"{name} {best[name]:g}" for name in SHOWN)
    return f"The best of {len(table)} is {chosen}: {best['score_usd']:.3g} USD, {gain}; {others}."


def plot_settings(runs: Mapping[str, Simulation], objective: Objective) -> alt.VConcatChart:
    """
    Draw one column per setting, in the order given: waiting tasks, and replicas running and wanted.
    """
    columns: list[alt.VConcatChart] = []
    scores = {}
    deepest, widest = (
        max(float(run.timeline[name].max()) for run in runs.values())
        for name in ("waiting", "wanted")
    )
    longest = max(len(run.timeline) for run in runs.values()) / 60
    x = alt.X("minutes:Q", title="minutes").scale(domain=[0, longest], nice=False)
    which = alt.Color("which:N", title=None).legend(orient="bottom")
    which = which.scale(domain=["running", "wanted"], range=["#1b7f79", "#e8590c"])
    for name, run in runs.items():
        result = figures(run, objective)
        scores[name] = result["score_usd"]
        subtitle = [
            f"{result['score_usd']:.3g} USD · {result['seconds_in_queue']:.0f} s in queue",
            f"{result['replica_hours']:.1f} replica-h · {result['turns_per_h']:.1f} turns/h",
        ]
        title = alt.Title(name, subtitle=subtitle, anchor="start", fontSize=11)
        table = _thin(run.timeline)
        y = alt.Y("waiting:Q", title=None if columns else "tasks waiting")
        y = y.scale(domain=[0, deepest * 1.05 + 1])
        waiting = alt.Chart(table, width=190, height=90, title=title)
        waiting = waiting.mark_area(color="#3b5bdb", opacity=0.6).encode(x=x.title(None), y=y)
        long = table.melt("minutes", ["running", "wanted"], "which", "replicas")
        y = alt.Y("replicas:Q", title=None if columns else "replicas")
        y = y.scale(domain=[0, widest + 1])
        replicas = alt.Chart(long, width=190, height=90).mark_line(interpolate="step-after")
        columns.append(alt.vconcat(waiting, replicas.encode(x=x, y=y, color=which), spacing=6))
    rows = [alt.hconcat(*columns[at : at + 3]) for at in range(0, len(columns), 3)]
    title = alt.Title(_title(scores), subtitle=repr(objective).split(" + "), anchor="start")
    return alt.vconcat(*rows).properties(title=title)


def _thin(timeline: pd.DataFrame) -> pd.DataFrame:
    # the maximum of each period: means of the queue would hide its peaks
    size = max(1, len(timeline) // 400)
    table = timeline.groupby(timeline["second"] // size)[["waiting", "running", "wanted"]].max()
    return table.assign(minutes=table.index * size / 60).reset_index(drop=True)


def _title(scores: Mapping[str, float]) -> str:
    best, worst = min(scores, key=lambda n: scores[n]), max(scores, key=lambda n: scores[n])
    if scores[best] == scores[worst]:
        return f"All {len(scores)} settings cost the same, {scores[best]:.3g} USD"
    return (
        f"“{best}” is the best of {len(scores)}: {scores[best]:.3g} USD; "
        f"“{worst}” costs {scores[worst]:.3g}"
    )
