"""
Time, money, CPU credits, idling and autoscaling, as findings.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from runbook_lib.core.charts import alt, colours
from runbook_lib.core.findings import Finding
from runbook_lib.core.words import count_of, sentence
from runbook_lib.load.analysis.at_work import idle_spans, within
from runbook_lib.load.analysis.cpu_credits import simulate_credits
from runbook_lib.load.analysis.machines import occupied_nodes, worker_nodes
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


def show_costs(sizing: Sizing, costs: Costs) -> Finding:
    """
    Show time and money for the data set, with each number of workers.
    """
    if costs.table.empty:
        return Finding(next((t for t in sizing.limits if t.startswith("no costs")), NO_RATE))
    at = costs.at_chosen
    instances = len(sizing.machines.workers) + OTHER_INSTANCES
    words = (
        f"{costs.tiles:,} tiles take {at['hours']:.3g} h with "
        f"{count_of(costs.chosen, 'worker')} and cost "
        f"{at['usd']:.2f} USD: {instances} instances at {costs.usd_per_hour:.4f} USD an hour. "
        f"Without counting credits it would seem {at['hours_promised']:.3g} h.{costs.also_fewer}"
    )
    return Finding(words, _cost_table(costs.table))


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
    Show the cost of idle workers, from the recording's times without load.
    """
    stats, spans = sizing.recording.stats, idle_spans(sizing.recording)
    idle = stats[within(stats["time"], spans)]
    measured = node_vcpus(idle)
    nodes = occupied_nodes(stats, idle)
    vcpus = {node: measured[node] for node in nodes if node in measured}
    if not vcpus:
        return Finding("a minute without load, in which workers idle")
    absent = [node for node in nodes if node not in vcpus]
    alike = vcpus | dict.fromkeys(absent, float(np.mean(list(vcpus.values()))))
    cost = idle_cost(alike, sizing.machines.plan, usd_per_hour=usd_per_hour)
    minutes = sum((ended - began).total_seconds() for began, ended in spans) / 60
    table = pd.DataFrame(
        {"node": vcpus.keys(), "CPU while idle (%)": [100 * u for u in vcpus.values()]}
    )
    least, most = (f"{100 * pick(vcpus.values()):.2g}" for pick in (min, max))
    at = f"{', '.join(vcpus)} idle{'s' * (len(vcpus) == 1)} at {least}"
    at += f" to {most} %" if least != most else " %"
    words = f"{sentence(repr(cost))} In {minutes:.0f} idle minutes {at} CPU."
    if absent:
        words += f" {', '.join(absent)} had no samples then: assumed to idle as the others did."
    return Finding(words, table.round(2))


def show_savings(recording: Recording, usd_per_hour: float) -> Finding:
    """
    Show the autoscaler's savings, compared with the most workers that it requested.
    """
    decided = recording.autoscaler.dropna(subset=["running", "wanted"]).sort_values("time")
    if recording.experiment.get("autoscaler_held") or len(decided) < 2:
        return Finding("an autoscaler at work")
    replicas = decided.set_index("time")["running"]
    replicas = replicas[~replicas.index.duplicated()]
    fixed = int(decided["wanted"].max())
    if decided["wanted"].nunique() == 1:
        return Finding(f"a decision of the autoscaler for a number other than {fixed}")
    nodes = len(worker_nodes(recording))
    saved = autoscaling_savings(replicas, fixed, worker_nodes=nodes, usd_per_hour=usd_per_hour)
    table = pd.DataFrame(
        {
            "": ["autoscaled", f"{fixed} workers all the time"],
            "replica-hours": [saved.replica_hours, saved.fixed_replica_hours],
            "node-hours with a worker": [saved.node_hours, saved.fixed_node_hours],
        }
    )
    return Finding(sentence(repr(saved)), table.round(2) if nodes else table.iloc[:, :2].round(2))


def show_credits(sizing: Sizing) -> Finding:
    """
    Show the credits of the manager and of one worker node over time, at the measured rate.
    """
    burst, machines = sizing.burst, sizing.machines
    if burst is None:
        return Finding("the CPU of a tile, and so the credits")
    hours = min(24.0, max(1.0, 1.6 * burst.hours))
    times = pd.date_range("2000-01-01", periods=int(60 * hours), freq="1min", tz="UTC")
    runs = {
        name: simulate_credits(machines.plan, pd.Series(sizing.vcpus_by_node[node], index=times))
        for node, name in (("manager", "manager"), ("worker-1", "each worker node"))
    }
    words = (
        f"Fresh {machines.instance_type} instances: {burst}. They earn "
        f"{machines.plan.credits_per_h:g} credits an hour, and start with "
        f"{machines.plan.launch_credits:g}."
    )
    return Finding(words, plot_credits(runs))


def plot_credits(runs: Mapping[str, pd.DataFrame]) -> alt.VConcatChart:
    """
    Draw `simulate_credits` of some nodes: the credits, and below them the CPU in use.
    """
    table = pd.concat([run.assign(node=name) for name, run in runs.items()])
    table["hours"] = (table["time"] - table["time"].min()).dt.total_seconds() / 3600
    names = list(runs)
    colour = alt.Color("node:N", title=None, scale=colours(names))
    x = alt.X("hours:Q", title="hours since the start")
    thin = table.iloc[:: max(1, len(table) // 1500)].drop(columns="time")
    base = alt.Chart(thin, width=560).mark_line().encode(color=colour)
    y = alt.Y("credits:Q", title="CPU credits").scale(zero=True)
    saved = base.encode(x=x.title(None), y=y).properties(height=170)
    y = alt.Y("used_vcpus:Q", title="CPU in use (vCPU)").scale(zero=True)
    used = base.encode(x=x, y=y).properties(height=110)
    return alt.vconcat(saved, used).properties(title=alt.Title(_title(table), anchor="start"))


def _title(table: pd.DataFrame) -> str:
    short = table[table["throttled"]]
    if short.empty:
        left = table.groupby("node", sort=False)["credits"].last()
        return (
            f"The CPU credits last: {left.idxmin()} has the fewest left, {left.min():.0f} after "
            f"{table['hours'].max():.1f} h"
        )
    first = short.sort_values("hours", kind="stable").iloc[0]
    first_after = short[short["node"] == first["node"]].iloc[-1]  # the first minute is partial
    return (
        f"The credits of {first['node']} are spent after {first['hours']:.1f} h; then it gets "
        f"{first_after['used_vcpus']:.0%} of a CPU instead of {first['wanted_vcpus']:.0%}"
    )
