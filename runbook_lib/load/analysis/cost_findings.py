"""
What a data set costs in time and money, as findings: costs, CPU credits, idling, autoscaling.
"""

import numpy as np
import pandas as pd

from runbook_lib.core.findings import Finding, count_of, sentence
from runbook_lib.load.analysis.cpu_credits import Burst, burst, simulate
from runbook_lib.load.analysis.credit_charts import plot_credits
from runbook_lib.load.analysis.load_answer import OTHER_INSTANCES, Answer
from runbook_lib.load.analysis.run_costs import autoscaling_savings, idle_cost
from runbook_lib.load.analysis.scalability_law import Interval
from runbook_lib.load.analysis.utilisation import node_vcpus
from runbook_lib.load.recordings.schema import Recording
from runbook_lib.load.recordings.separate_runs import find_runs

LONGEST_H = 24.0
NO_RATE = "tiles a second"


def show_costs(answer: Answer) -> Finding:
    """
    Time and money for the data set, with each number of workers.
    """
    if answer.costs.empty:
        return Finding(next((t for t in answer.limits if t.startswith("no costs")), NO_RATE))
    at = answer.costs[answer.costs["workers"] == answer.chosen].iloc[0]
    instances = len(answer.machines.workers) + OTHER_INSTANCES
    words = (
        f"{answer.tiles:,} tiles take {at['hours']:.3g} h with "
        f"{count_of(answer.chosen, 'worker')} and cost "
        f"{at['usd']:.2f} USD: {instances} instances of {answer.usd_per_hour:.4f} USD an hour. "
        f"Without counting credits it would seem {at['hours_promised']:.3g} h.{also_fewer(answer)}"
    )
    return Finding(words, _cost_table(answer.costs))


def also_fewer(answer: Answer) -> str:
    """
    That fewer workers take as long, where the credits see to it; else "".
    """
    fewer = answer.fewest_in_time
    if not 0 < fewer < answer.chosen:
        return ""
    return f" With {fewer} it takes no longer: the CPU credits are the limit then."


def _cost_table(costs: pd.DataFrame) -> pd.DataFrame:
    def span(name: str, form: str) -> "pd.Series[str]":
        columns = zip(costs[name], costs[f"{name}_low"], costs[f"{name}_high"], strict=True)
        return pd.Series([_span(Interval(*values), form) for values in columns])

    lasts = np.isinf(costs["burst_hours"])
    return pd.DataFrame(
        {
            "workers": costs["workers"],
            "tiles/s": costs["tiles_per_s"].round(1),
            "full speed for (h)": costs["burst_hours"].round(1).mask(lasts).astype(object),
            "first to run out": costs["runs_out_first"],
            "then": [f"{share:.0%}" for share in costs["sustained_share"]],
            "hours (95 %)": span("hours", ".1f"),
            "USD (95 %)": span("usd", ".2f"),
        }
    ).fillna("for ever")


def _span(found: Interval, form: str) -> str:
    value, low, high = (f"{n:{form}}" for n in (found.value, found.low, found.high))
    return value if low == high else f"{value} ({low} to {high})"


def find_burst(answer: Answer) -> Burst | None:
    """
    How long fresh instances keep up what was measured.
    """
    if answer.use is None or answer.rate is None:
        return None
    most = answer.machines.plan.vcpus
    use = answer.use.by_node(answer.rate.value, len(answer.machines.workers))
    return burst(answer.machines.plan, {node: min(most, cpu) for node, cpu in use.items()})


def show_credits(answer: Answer) -> Finding:
    """
    The credits of the manager and of one worker node over time, at the measured pace.
    """
    found = find_burst(answer)
    if found is None or answer.use is None or answer.rate is None:
        return Finding("the CPU that a tile costs, and so the credits")
    hours = LONGEST_H if np.isinf(found.hours) else min(LONGEST_H, max(1.0, 1.6 * found.hours))
    times = pd.date_range("2000-01-01", periods=int(60 * hours), freq="1min", tz="UTC")
    nodes = answer.use.by_node(answer.rate.value, len(answer.machines.workers))
    plan = answer.machines.plan
    runs = {
        name: simulate(plan, pd.Series(min(plan.vcpus, nodes[node]), index=times))
        for node, name in (("manager", "manager"), ("worker-1", "each worker node"))
    }
    words = (
        f"Of fresh {answer.machines.instance_type} instances: {found}. They earn "
        f"{plan.credits_per_h:g} credits an hour, and begin with {plan.launch_credits:g}."
    )
    return Finding(words, plot_credits(runs))


def describe_idle(answer: Answer) -> Finding:
    """
    What workers cost that have nothing to do, from the recording's stretches without load.
    """
    stats = answer.recording.stats
    runs = find_runs(stats)
    idle = [
        stats[stats["time"].between(run["began"], run["ended"])]
        for run in runs[runs["busy_from"].isna()].to_dict("records")
    ]
    quiet = pd.concat(idle) if idle else stats.iloc[:0]
    workers = {n: u for n, u in node_vcpus(quiet).items() if n.startswith("worker-")}
    if not workers:
        return Finding("a stretch without load, in which workers idle")
    found = idle_cost(workers, answer.machines.plan, usd_per_hour=answer.usd_per_hour)
    table = pd.DataFrame(
        {"node": workers.keys(), "CPU while idle (%)": [100 * u for u in workers.values()]}
    )
    return Finding(sentence(repr(found)), table.round(2))


def describe_savings(recording: Recording, usd_per_hour: float) -> Finding:
    """
    What the autoscaler saved beside the most workers that it ever wanted.
    """
    decided = recording.autoscaler.dropna(subset=["running", "wanted"]).sort_values("time")
    if recording.experiment.get("autoscaler_held") or len(decided) < 2:
        return Finding("an autoscaler at work")
    replicas = decided.set_index("time")["running"]
    replicas = replicas[~replicas.index.duplicated()]
    fixed = int(decided["wanted"].max())
    if decided["wanted"].nunique() == 1:
        return Finding(f"a decision of the autoscaler for another number than {fixed}")
    found = autoscaling_savings(replicas, fixed, usd_per_hour=usd_per_hour)
    table = pd.DataFrame(
        {
            "": ["autoscaled", f"{fixed} workers all the time"],
            "replica-hours": [found.replica_hours, found.fixed_replica_hours],
            "node-hours with a worker": [found.node_hours, found.fixed_node_hours],
        }
    )
    return Finding(sentence(repr(found)), table.round(2))
