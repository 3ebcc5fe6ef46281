"""
What a recording holds, laid out for a page: measures by service and by node, and all in one table.
"""

import pandas as pd

from runbook_lib.core.charts import alt
from runbook_lib.load.analysis.load_charts import compare_recordings, plot_measure
from runbook_lib.load.recordings.counters import COUNTERS, total_counters
from runbook_lib.load.recordings.schema import Recording
from runbook_lib.load.recordings.source import open_recording

_WIDTH = 330


def show_measure(stats: pd.DataFrame, measure: str) -> alt.HConcatChart:
    """
    One measure over time, by service and beside it by node.
    """
    pair = [
        plot_measure(stats, measure, by=by).properties(width=_WIDTH) for by in ("service", "node")
    ]
    chart: alt.HConcatChart = alt.hconcat(*pair).resolve_scale(color="independent")
    return chart


def total_differences(recording: Recording) -> pd.DataFrame:
    """
    Where totals are not the sum over the highest counter of each container; empty is as it should.

    Columns: service, counter, total, highest. Containers that restarted under their id have more
    than one highest counter, so their services are left out.
    """
    totals = total_counters(recording.stats).set_index("service")
    each = recording.stats.groupby(["service", "node", "container"])[COUNTERS].max()
    highest = each.groupby("service").sum(min_count=1)
    rows = [
        (service, name, totals.loc[service, name], highest.loc[service, name])
        for service in totals.index[totals["restarts"] == 0]
        for name in COUNTERS
    ]
    found = pd.DataFrame(rows, columns=["service", "counter", "total", "highest"]).dropna()
    apart = (found["total"] - found["highest"]).abs() > 1e-6 * found["highest"]
    return found[apart]


def side_by_side(recording: Recording, others: list[str]) -> pd.DataFrame:
    """
    Experiments as columns, this one first; `others` are folders.
    """
    named = {recording.source: recording, **{folder: open_recording(folder) for folder in others}}
    short = {"/".join(name.split("/")[-3:]): found for name, found in named.items()}
    return compare_recordings(short).fillna("")


def show_network(stats: pd.DataFrame, way: str) -> alt.VConcatChart:
    """
    What was received (`in`) or sent (`out`) a second, and below it in all.
    """
    rate, total = (show_measure(stats, f"net_{way}_bytes{end}") for end in ("_per_s", ""))
    chart: alt.VConcatChart = alt.vconcat(rate, total)
    return chart


def run_table(runs: pd.DataFrame) -> pd.DataFrame:
    """
    `find_runs` for a page: times to the second, minutes of load.
    """
    clock = {name: runs[name].dt.strftime("%H:%M:%S") for name in ("began", "ended")}
    return pd.DataFrame(
        {
            "run": runs["run"],
            **clock,
            "minutes of load": (runs["busy_s"] / 60).round(1).fillna(0.0),
            "containers": runs["containers"],
            "begins with": runs["begins_with"],
        }
    )
