"""
CPU credits over time, and the CPU that they leave.
"""

from collections.abc import Mapping

import pandas as pd

from runbook_lib.core.charts import alt

_COLOURS = ["#1b7f79", "#e8590c", "#3b5bdb", "#862e9c", "#5c940d", "#495057"]


def plot_credits(runs: Mapping[str, pd.DataFrame]) -> alt.VConcatChart:
    """
    Draw `cpu_credits.simulate` of some nodes: the credits, and below them the CPU in use.
    """
    table = pd.concat([run.assign(node=name) for name, run in runs.items()])
    first = table["time"].min()
    table["hours"] = (table["time"] - first).dt.total_seconds() / 3600
    names = list(runs)
    colour = alt.Color("node:N", title=None, sort=names).scale(
        domain=names, range=_COLOURS[: len(names)]
    )
    x = alt.X("hours:Q", title="hours since the start")
    base = alt.Chart(_thin(table)).mark_line()
    saved = base.encode(
        x=x.title(None), y=alt.Y("credits:Q", title="CPU credits").scale(zero=True), color=colour
    ).properties(width=560, height=170)
    used = base.encode(
        x=x, y=alt.Y("used_vcpus:Q", title="CPU in use (vCPU)").scale(zero=True), color=colour
    ).properties(width=560, height=110)
    return alt.vconcat(saved, used).properties(title=alt.Title(_finding(table), anchor="start"))


def _thin(table: pd.DataFrame, most: int = 1500) -> pd.DataFrame:
    return table.iloc[:: max(1, len(table) // most)].drop(columns="time")


def _finding(table: pd.DataFrame) -> str:
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
        f"The credits of {first['node']} are spent after {first['hours']:.1f} h; then it has "
        f"{first_after['used_vcpus']:.0%} of a CPU and not {first['wanted_vcpus']:.0%}"
    )
