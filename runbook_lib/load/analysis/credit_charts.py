"""
CPU credits over time, and the CPU that they leave.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from runbook_lib.core.charts import alt
from runbook_lib.core.findings import Finding
from runbook_lib.load.analysis.cpu_credits import simulate_credits
from runbook_lib.load.analysis.sizing import Sizing

LONGEST_H = 24.0
_COLOURS = ["#1b7f79", "#e8590c", "#3b5bdb", "#862e9c", "#5c940d", "#495057"]


def show_credits(sizing: Sizing) -> Finding:
    """
    The credits of the manager and of one worker node over time, at the measured rate.
    """
    burst, machines = sizing.burst, sizing.machines
    if burst is None:
        return Finding("the CPU of a tile, and so the credits")
    hours = LONGEST_H if np.isinf(burst.hours) else min(LONGEST_H, max(1.0, 1.6 * burst.hours))
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
    colour = alt.Color("node:N", title=None, sort=names).scale(
        domain=names, range=_COLOURS[: len(names)]
    )
    x = alt.X("hours:Q", title="hours since the start")
    thin = table.iloc[:: max(1, len(table) // 1500)].drop(columns="time")
    base = alt.Chart(thin).mark_line()
    saved = base.encode(
        x=x.title(None), y=alt.Y("credits:Q", title="CPU credits").scale(zero=True), color=colour
    ).properties(width=560, height=170)
    used = base.encode(
        x=x, y=alt.Y("used_vcpus:Q", title="CPU in use (vCPU)").scale(zero=True), color=colour
    ).properties(width=560, height=110)
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
    first_after = short[short["node"] == first["node"]].iloc[-1]  # the first minute is a part
    return (
        f"The credits of {first['node']} are spent after {first['hours']:.1f} h; then it gets "
        f"{first_after['used_vcpus']:.0%} of a CPU instead of {first['wanted_vcpus']:.0%}"
    )
