"""
The autoscaler's settings tried on paper against a recorded load, or against the dealer's.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from runbook_lib.core.findings import Finding
from runbook_lib.load.analysis.load_answer import Answer
from runbook_lib.load.autoscaling.recommendation import SHARE_AT_WORK
from runbook_lib.load.autoscaling.setting_charts import plot_settings
from runbook_lib.load.autoscaling.setting_search import Objective, figures, search
from runbook_lib.load.autoscaling.simulation import (
    Load,
    Setting,
    Simulation,
    Workers,
    recorded_load,
    simulate,
)

LIGHTS = ("grey", "green", "yellow")
DEALT_S = 1200
"""Of a sweep, whose own load was made to be too much: twenty minutes' work, as it is dealt."""
LOADS_AT_WORK = (0.3, SHARE_AT_WORK, 0.9)
REFRESH_RATES_S = (1, 5, 15)
SLOW_S = 30
SHOWN = ["min_scale", "max_scale", "qty_task", "refresh_rate_s"]
FIGURES = ["hours", "seconds_in_queue", "node_hours", "turns_per_h", "score_usd"]


@dataclass(frozen=True)
class Trials:
    """
    `table`: all settings, the best first, see `search`; empty where the recording tells too little,
    and `finding` says so.
    """

    finding: Finding
    table: pd.DataFrame
    recorded: Setting | None = None

    @property
    def refresh_rate_s(self) -> int:
        """
        The best; without trials the recorded one.
        """
        if self.table.empty:
            return (self.recorded or Setting()).refresh_rate_s
        return int(self.table["refresh_rate_s"].iloc[0])

    @property
    def runners_up(self) -> Finding:
        """
        The best five, and what they cost.
        """
        if self.table.empty:
            return self.finding
        best = self.table[[*SHOWN, *FIGURES]].head(5).round(3)
        gap = best["score_usd"].iloc[-1] - best["score_usd"].iloc[0]
        words = f"From the first to the fifth it is {gap:.3f} USD."
        return Finding(words, best.rename(columns=lambda name: name.replace("_", " ")))


def try_settings(answer: Answer, lights: Sequence[float], objective: Objective) -> Trials:
    """
    Every combination of a few bounds, rates and trusts, with the number of workers as the most.

    Raises
    ------
    ParameterError
        Lights that do not grow.
    """
    if answer.rate is None:
        return Trials(Finding("the rate at which workers work"), pd.DataFrame())
    most = answer.chosen
    each = answer.rate.value / most
    known = {name: answer.recording.experiment.get(name) for name in asdict(Setting())}
    told = {name: value for name, value in known.items() if value}
    told |= dict(zip(LIGHTS, lights, strict=True))
    recorded = replace(Setting(), **told)
    decided = answer.recording.autoscaler["published_per_s"].gt(0).any()
    if decided and not answer.recording.experiment.get("autoscaler_held"):
        load, said = recorded_load(answer.recording), "the load that was recorded"
    else:
        tasks = round(DEALT_S * answer.rate.value)
        load, said = Load(tasks=tasks), f"{tasks:,} tasks, as the dealer deals them"
        recorded = replace(recorded, batch=max(1, round(answer.rate.value * recorded.wait_s)))
    known_to = max(most, int(answer.points["replicas"].max()))
    recorded = replace(
        recorded,
        min_scale=min(recorded.min_scale, known_to),
        max_scale=min(recorded.max_scale, known_to),
    )
    workers = _workers(answer, known_to)
    choices = {
        "min_scale": sorted({1, max(1, most // 2), most}),
        "max_scale": sorted({max(1, (3 * most) // 4), most}),
        "qty_task": sorted({max(1, round(each / share)) for share in LOADS_AT_WORK}),
        "refresh_rate_s": REFRESH_RATES_S,
    }
    table = search(load, workers, choices, base=recorded, objective=objective)
    best = _setting(table.iloc[0])
    tried = {
        "as recorded": recorded,
        "best found": best,
        f"always {most} workers": replace(recorded, min_scale=most, max_scale=most),
        "down to one worker": replace(recorded, min_scale=1),
        "trusts a worker twice as much": replace(recorded, qty_task=2 * recorded.qty_task),
        f"decides every {SLOW_S} s": replace(recorded, refresh_rate_s=SLOW_S),
    }
    runs = {name: simulate(setting, load, workers) for name, setting in tried.items()}
    words = _words(table, runs, objective)
    basis = "by the law" if answer.is_recommendation else f"each {each:.2g} tiles a second"
    words += f" On paper: {said}; workers {basis}."
    return Trials(Finding(words, plot_settings(runs, objective)), table, recorded)


def _words(table: pd.DataFrame, runs: dict[str, Simulation], objective: Objective) -> str:
    best = table.iloc[0]
    near = int((table["score_usd"] <= 1.05 * best["score_usd"]).sum())
    scores = {name: figures(run, objective)["score_usd"] for name, run in runs.items()}
    recorded = scores["as recorded"]
    share = best["score_usd"] / recorded - 1 if np.isfinite(recorded) else 0.0
    gain = f"{abs(share):.0%} {'less' if share < 0 else 'more'} than as recorded"
    gain = gain if np.isfinite(recorded) else "and as recorded it does not finish in 12 hours"
    chosen = ", ".join(f"{name} {best[name]:g}" for name in SHOWN)
    others = f"; {near - 1} more lie within 5 % of it" if near > 1 else "; no other is within 5 %"
    return f"The best of {len(table)} is {chosen}: {best['score_usd']:.3f} USD, {gain}{others}."


def _workers(answer: Answer, most: int) -> Workers:
    """
    By the law; without one each worker does what it did, as only one number of them is known.
    """
    assert answer.scalability is not None and answer.rate is not None
    if answer.scalability.law is None:
        each = answer.rate.value / answer.chosen
        return Workers(tuple(each * n for n in range(most + 1)))
    rates = [answer.scalability.throughput(n).value for n in range(1, most + 1)]
    return Workers((0.0, *rates))


def _setting(row: "pd.Series[float]") -> Setting:
    whole = {"refresh_rate_s", "min_scale", "max_scale", "batch", "min_batch", "batch_step"}
    values = {n: int(row[n]) if n in whole else float(row[n]) for n in asdict(Setting())}
    return Setting(**values)  # type: ignore[arg-type]
