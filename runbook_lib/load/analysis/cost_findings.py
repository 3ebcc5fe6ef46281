"""
Time, money, idling and autoscaling, as findings.
"""

import numpy as np
import pandas as pd

from runbook_lib.core.findings import Finding
from runbook_lib.core.words import count_of, sentence
from runbook_lib.load.analysis.run_costs import (
    OTHER_INSTANCES,
    Costs,
    autoscaling_savings,
    idle_cost,
)
from runbook_lib.load.analysis.sizing import Sizing
from runbook_lib.load.analysis.usl_charts import NO_RATE
from runbook_lib.load.analysis.utilisation import node_vcpus
from runbook_lib.load.recordings.schema import Recording
from runbook_lib.load.recordings.separate_runs import find_runs


def show_costs(sizing: Sizing, costs: Costs) -> Finding:
    """
    Time and money for the data set, with each number of workers.
    """
    if costs.table.empty:
        return Finding(next((t for t in sizing.limits if t.startswith("no costs")), NO_RATE))
    at = costs.at_chosen
    instances = len(sizing.machines.workers) + OTHER_INSTANCES
    words = (
        f"{costs.tiles:,} tiles take {at['hours']:.3g} h with "
        f"{count_of(costs.chosen, 'worker')} and cost "
        f"{at['usd']:.2f} USD: {instances} instances at {costs.usd_per_hour:.4f} USD an hour. "
        f"Without counting credits it would seem {at['hours_promised']:.3g} h.{also_fewer(costs)}"
    )
    return Finding(words, _cost_table(costs.table))


def also_fewer(costs: Costs) -> str:
    """
    That fewer workers take as long, where the credits are the limit; else "".
    """
    if not 0 < costs.fewest_in_time < costs.chosen:
        return ""
    return f" With {costs.fewest_in_time} it takes no longer: then the CPU credits are the limit."


def _cost_table(costs: pd.DataFrame) -> pd.DataFrame:
    def spans(name: str, form: str) -> list[str]:
        columns = costs[[name, f"{name}_low", f"{name}_high"]].to_numpy().tolist()
        texts = [[f"{number:{form}}" for number in row] for row in columns]
        return [v if low == high else f"{v} ({low} to {high})" for v, low, high in texts]

    lasts = np.isinf(costs["burst_hours"])
    return pd.DataFrame(
        {
            "workers": costs["workers"],
            "tiles/s": costs["tiles_per_s"].round(1),
            "full speed for (h)": costs["burst_hours"].round(1).mask(lasts).astype(object),
            "first to run out": costs["runs_out_first"],
            "then": [f"{share:.0%}" for share in costs["sustained_share"]],
            "hours (95 %)": spans("hours", ".1f"),
            "USD (95 %)": spans("usd", ".2f"),
        }
    ).fillna("no limit")


def show_idle(sizing: Sizing, usd_per_hour: float) -> Finding:
    """
    The cost of idle workers, from the recording's stretches without load.
    """
    stats = sizing.recording.stats
    runs = find_runs(stats)
    idle = pd.Series(False, index=stats.index)
    for run in runs[runs["busy_from"].isna()].to_dict("records"):
        idle |= stats["time"].between(run["began"], run["ended"])
    vcpus = {n: u for n, u in node_vcpus(stats[idle]).items() if n.startswith("worker-")}
    if not vcpus:
        return Finding("a stretch without load, in which workers idle")
    cost = idle_cost(vcpus, sizing.machines.plan, usd_per_hour=usd_per_hour)
    table = pd.DataFrame(
        {"node": vcpus.keys(), "CPU while idle (%)": [100 * u for u in vcpus.values()]}
    )
    return Finding(sentence(repr(cost)), table.round(2))


def show_savings(recording: Recording, usd_per_hour: float) -> Finding:
    """
    What the autoscaler saved, compared with the most workers that it requested.
    """
    decided = recording.autoscaler.dropna(subset=["running", "wanted"]).sort_values("time")
    if recording.experiment.get("autoscaler_held") or len(decided) < 2:
        return Finding("an autoscaler at work")
    replicas = decided.set_index("time")["running"]
    replicas = replicas[~replicas.index.duplicated()]
    fixed = int(decided["wanted"].max())
    if decided["wanted"].nunique() == 1:
        return Finding(f"a decision of the autoscaler for a number other than {fixed}")
    saved = autoscaling_savings(replicas, fixed, usd_per_hour=usd_per_hour)
    table = pd.DataFrame(
        {
            "": ["autoscaled", f"{fixed} workers all the time"],
            "replica-hours": [saved.replica_hours, saved.fixed_replica_hours],
            "node-hours with a worker": [saved.node_hours, saved.fixed_node_hours],
        }
    )
    return Finding(sentence(repr(saved)), table.round(2))
