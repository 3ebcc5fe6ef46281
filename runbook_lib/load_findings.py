"""
The findings of a load analysis: each a chart or a table, and the sentence that was computed for it.
"""

import numpy as np
import pandas as pd
from scipy.stats import binom

from runbook_lib.charts import alt
from runbook_lib.cpu_credits import Burst, burst, simulate
from runbook_lib.credit_charts import plot_credits
from runbook_lib.findings import Finding, sentence
from runbook_lib.load_answer import OTHER_INSTANCES, Answer
from runbook_lib.recordings import Recording
from runbook_lib.run_costs import autoscaling_savings, idle_cost
from runbook_lib.runs_in_recording import find_runs
from runbook_lib.scalability import leave_one_out
from runbook_lib.scalability_charts import plot_efficiency, plot_throughput
from runbook_lib.scalability_law import LEVEL, Interval
from runbook_lib.utilisation import node_vcpus

LONGEST_H = 24.0
NO_RATE = "nothing in it tells tiles a second, so there is no throughput to show"


def show_throughput(answer: Answer) -> Finding:
    """
    Tiles a second against workers, with the law where there is one.
    """
    found = answer.scalability
    if found is None:
        return Finding(NO_RATE)
    chosen = answer.chosen if found.law is not None else None
    if found.law is None:
        return Finding(f"No curve: {found.limit}.", plot_throughput(found, chosen))
    law = found.law
    one, sigma, kappa = law.coefficients.values()
    words = (
        f"One worker alone does {one.value:.3g} tiles a second ({one.low:.3g} to {one.high:.3g}). "
        f"Workers queue for {sigma.value:.1%} of their work ({sigma.low:.1%} to {sigma.high:.1%}), "
        f"and pay {kappa.value:.2%} for every other one ({kappa.low:.2%} to {kappa.high:.2%}). "
        f"{_peak(answer)} A step differs from the next by {law.noise:.1%}."
    )
    words += f" Mind: {found.limit}." if found.limit else ""
    return Finding(words, plot_throughput(found, chosen))


def _peak(answer: Answer) -> str:
    assert answer.scalability is not None and answer.scalability.law is not None
    law = answer.scalability.law
    peak, most = law.peak, max(law.counts)
    if peak.low > most:
        return f"The peak lies beyond the {most} workers that were measured."
    high = f"{peak.high:.0f}" if np.isfinite(peak.high) else "nobody knows how many"
    value = f"at {peak.value:.0f}" if np.isfinite(peak.value) else "beyond every number"
    return f"Throughput peaks {value} workers ({peak.low:.0f} to {high})."


def show_efficiency(answer: Answer) -> Finding:
    """
    What one worker still does beside others.
    """
    found = answer.scalability
    if found is None or len(found.measured) < 2:
        return Finding("one number of workers, or none, was measured: nothing to compare")
    first, last = found.measured.iloc[0], found.measured.iloc[-1]
    each, alone = last["tiles_per_s"] / last["replicas"], first["tiles_per_s"] / first["replicas"]
    words = (
        f"A worker does {alone:.3g} tiles a second where there are {first['replicas']:g}, and "
        f"{each:.3g} where there are {last['replicas']:g}."
    )
    return Finding(words, plot_efficiency(found))


def predict_left_out(answer: Answer) -> pd.DataFrame:
    """
    Each number of workers predicted from the others, see `leave_one_out`; empty without a law.
    """
    found = answer.scalability
    if found is None or found.law is None:
        return pd.DataFrame(columns=["replicas", "measured", "predicted", "low", "high", "inside"])
    return leave_one_out(found.points)


def show_left_out(left_out: pd.DataFrame) -> Finding:
    """
    The predictions as a table, and how many of them came true.
    """
    if left_out.empty:
        return Finding("too few numbers of workers to leave one out and predict it")
    inside = int(left_out["inside"].sum())
    shown = left_out.round(1).assign(inside=left_out["inside"].map({True: "yes", False: "no"}))
    words = f"{inside} of {len(left_out)} lie within the interval that was predicted for them."
    return Finding(words, shown.rename(columns={"replicas": "workers"}))


def misses_allowed(predictions: int) -> int:
    """
    How many of so many 95 % intervals may miss: more would happen by chance once in a hundred.
    """
    return int(binom.ppf(0.99, predictions, 1 - LEVEL)) if predictions else 0


def show_bottleneck(answer: Answer, most: int = 8) -> Finding:
    """
    The resources that are nearest to their limits.
    """
    found = answer.bottleneck
    if found is None:
        return Finding("no container was sampled in its steady state")
    table = found.utilisation.head(most)
    order = table["resource"].tolist()
    top = max(1.0, float(table[["utilisation", "high"]].max().max()))
    y = alt.Y("resource:N", title=None, sort=order)
    x = alt.X("utilisation:Q", title="of its limit, 95 % interval").axis(format="%")
    bars = alt.Chart(table).mark_bar(color="#1b7f79").encode(x=x.scale(domain=[0, top]), y=y)
    spans = alt.Chart(table).mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q", y=y)
    leader = table.iloc[0]
    title = f"{found.resource or leader['resource']} is nearest to its limit"
    if found.resource:
        title = f"{found.resource} is the bottleneck"
    chart = alt.layer(bars, spans).properties(width=520, height=26 * len(table), title=title)
    unknown = " The CPU limits of these containers are not known." * (
        not answer.machines.cpu_limits
    )
    return Finding(found.words + unknown, chart)


def show_costs(answer: Answer) -> Finding:
    """
    Time and money for the data set, with each number of workers.
    """
    if answer.costs.empty:
        return Finding(next((t for t in answer.limits if t.startswith("no costs")), NO_RATE))
    at = answer.costs[answer.costs["workers"] == answer.chosen].iloc[0]
    instances = len(answer.machines.workers) + OTHER_INSTANCES
    words = (
        f"{answer.tiles:,} tiles take {at['hours']:.3g} h with {answer.chosen} workers and cost "
        f"{at['usd']:.2f} USD: {instances} instances of {answer.usd_per_hour:.4f} USD an hour. "
        f"Without counting credits it would seem {at['hours_promised']:.3g} h."
    )
    return Finding(words, _cost_table(answer.costs))


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
        return Finding("the CPU of a tile is not known, so its credits are not")
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
        return Finding("there is no stretch without load, so nobody knows what idling costs")
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
        return Finding("the autoscaler was not at work, so it saved nothing")
    replicas = decided.set_index("time")["running"]
    replicas = replicas[~replicas.index.duplicated()]
    fixed = int(decided["wanted"].max())
    found = autoscaling_savings(replicas, fixed, usd_per_hour=usd_per_hour)
    table = pd.DataFrame(
        {
            "": ["autoscaled", f"{fixed} workers all the time"],
            "replica-hours": [found.replica_hours, found.fixed_replica_hours],
            "node-hours with a worker": [found.node_hours, found.fixed_node_hours],
        }
    )
    return Finding(sentence(repr(found)), table.round(2))
