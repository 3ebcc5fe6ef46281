"""
The autoscaler's settings tried on paper against a recorded load, or against the dealer's.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import pandas as pd

from runbook_lib.core.findings import Finding
from runbook_lib.load.analysis.sizing import Sizing
from runbook_lib.load.autoscaling.recommendation import SHARE_AT_WORK
from runbook_lib.load.autoscaling.search import Objective, figures, search_settings
from runbook_lib.load.autoscaling.simulation import (
    AutoscalerSetting,
    OfferedLoad,
    Workers,
    recorded_load,
    simulate_autoscaler,
)
from runbook_lib.load.autoscaling.trial_charts import plot_settings

LIGHTS = ("grey", "green", "yellow")
DEALT_S = 1200
"""For a sweep, whose own load is made to be too much: twenty minutes' work, as it is dealt."""
LOADS_AT_WORK = (0.3, SHARE_AT_WORK, 0.9)
REFRESH_RATES_S = (1, 5, 15)
SLOW_S = 30
SHOWN = ["min_scale", "max_scale", "qty_task", "refresh_rate_s"]
FIGURES = ["hours", "seconds_in_queue", "node_hours", "turns_per_h", "score_usd"]


@dataclass(frozen=True, repr=False)
class Trials(Finding):
    """
    `table`: all settings, the best first, see `search_settings`; empty where the recording is not
    enough for trials.
    """

    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    refresh_rate_s: int = AutoscalerSetting.refresh_rate_s
    """The best that was tried; without trials the usual one."""

    @property
    def runners_up(self) -> Finding:
        """
        The best five, and what they cost.
        """
        if self.table.empty:
            return Finding(self.words)
        best = self.table[[*SHOWN, *FIGURES]].head(5).round(3)
        gap = best["score_usd"].iloc[-1] - best["score_usd"].iloc[0]
        words = f"The fifth costs {gap:.3f} USD more than the first."
        return Finding(words, best.rename(columns=lambda name: name.replace("_", " ")))


def try_settings(sizing: Sizing, lights: Sequence[float], objective: Objective) -> Trials:
    """
    Every combination of a few bounds, rates and QTY_TASK, with at most the chosen workers.

    Raises
    ------
    ParameterError
        Lights that do not grow.
    """
    if sizing.rate is None or sizing.fit is None:
        return Trials("the throughput of the workers")
    most, rate = sizing.chosen, sizing.rate.value
    known = {n: sizing.recording.experiment.get(n) for n in asdict(AutoscalerSetting())}
    given = {name: value for name, value in known.items() if value}
    recorded = AutoscalerSetting(**given | dict(zip(LIGHTS, lights, strict=True)))
    decided = sizing.recording.autoscaler["published_per_s"].gt(0).any()
    if decided and not sizing.recording.experiment.get("autoscaler_held"):
        load, basis = recorded_load(sizing.recording), "the load that was recorded"
    else:
        load = OfferedLoad(tasks=round(DEALT_S * rate))
        basis = f"{load.tasks:,} tasks, as the dealer deals them"
        recorded = replace(recorded, batch=max(1, round(rate * recorded.wait_s)))
    known_to = max(most, int(sizing.points["replicas"].max()))
    recorded = replace(
        recorded,
        min_scale=min(recorded.min_scale, known_to),
        max_scale=min(recorded.max_scale, known_to),
    )
    # by the law; without one each worker does what it did, as only one number of them is known
    throughput = sizing.fit.throughput
    rates = [
        throughput(n).value if sizing.is_recommendation else rate / most * n
        for n in range(1, known_to + 1)
    ]
    workers = Workers((0.0, *rates))
    choices = {
        "min_scale": sorted({1, max(1, most // 2), most}),
        "max_scale": sorted({max(1, (3 * most) // 4), most}),
        "qty_task": sorted({max(1, round(rate / most / share)) for share in LOADS_AT_WORK}),
        "refresh_rate_s": REFRESH_RATES_S,
    }
    table = search_settings(load, workers, choices, base=recorded, objective=objective)
    best = {name: int(table[name].iloc[0]) for name in SHOWN}
    tried = {
        "as recorded": recorded,
        "best found": replace(recorded, **best),
        f"always {most} workers": replace(recorded, min_scale=most, max_scale=most),
        "down to one worker": replace(recorded, min_scale=1),
        "double QTY_TASK": replace(recorded, qty_task=2 * recorded.qty_task),
        f"decides every {SLOW_S} s": replace(recorded, refresh_rate_s=SLOW_S),
    }
    runs = {name: simulate_autoscaler(setting, load, workers) for name, setting in tried.items()}
    words = _words(table, figures(runs["as recorded"], objective)["score_usd"])
    each = "by the law" if sizing.is_recommendation else f"each {rate / most:.2g} tiles a second"
    words += f" On paper: {basis}; workers {each}."
    return Trials(words, plot_settings(runs, objective), table, best["refresh_rate_s"])


def _words(table: pd.DataFrame, recorded: float) -> str:
    best = table.iloc[0]
    gain = "and as recorded it does not finish in 12 hours"
    if np.isfinite(recorded):
        share = best["score_usd"] / recorded - 1
        gain = f"{abs(share):.0%} {'less' if share < 0 else 'more'} than as recorded"
    near = int((table["score_usd"] <= 1.05 * best["score_usd"]).sum())
    others = f"{near - 1} more lie within 5 % of it" if near > 1 else "no other is within 5 %"
    chosen = ", ".join(f"{name} {best[name]:g}" for name in SHOWN)
    return f"The best of {len(table)} is {chosen}: {best['score_usd']:.3f} USD, {gain}; {others}."
