"""
Tables of what a recording holds: its runs, and experiments side by side.
"""

import pandas as pd

from runbook_lib.load.recordings.counters import COUNTERS, total_counters
from runbook_lib.load.recordings.schema import Recording
from runbook_lib.load.recordings.separate_runs import find_runs
from runbook_lib.load.recordings.source import open_recording


def run_table(runs: pd.DataFrame) -> pd.DataFrame:
    """
    `find_runs` for a page: times to the second, minutes of load.
    """
    clock = {name: runs[name].dt.strftime("%H:%M:%S") for name in ("began", "ended")}
    minutes = (runs["busy_s"] / 60).round(1).fillna(0.0)
    table = runs[["run"]].assign(**clock, minutes_of_load=minutes)
    table = table.assign(containers=runs["containers"], begins_with=runs["begins_with"])
    return table.rename(columns=lambda name: name.replace("_", " "))


def side_by_side(recording: Recording, others: list[str]) -> pd.DataFrame:
    """
    Experiments as columns, this one first; `others` are folders.
    """
    named = {recording.source: recording, **{folder: open_recording(folder) for folder in others}}
    columns = {"/".join(name.split("/")[-3:]): _figures(found) for name, found in named.items()}
    return pd.DataFrame(columns).fillna("")


def _figures(recording: Recording) -> dict[str, object]:
    totals = total_counters(recording.stats).set_index("service")
    runs = find_runs(recording.stats)
    known = {key: value for key, value in recording.experiment.items() if key != "digits"}
    return known | {
        "nodes": recording.stats["node"].nunique(),
        "runs (with load)": f"{len(runs)} ({runs['busy_from'].notna().sum()})",
        "busy (minutes)": round(runs["busy_s"].sum() / 60, 1),
        **{
            f"{service} {way} (GB)": round(float(totals[f"net_{column}_bytes"][service]) / 1e9, 2)
            for service in totals.index
            for way, column in (("sent", "out"), ("received", "in"))
        },
    }


def total_differences(recording: Recording) -> pd.DataFrame:
    """
    Where a total is not the sum over the highest counter of each container.

    Columns: service, counter, total, highest. Services with containers that restarted under their
    id have more than one highest counter, and are left out.
    """
    totals = total_counters(recording.stats).set_index("service")
    each = recording.stats.groupby(["service", "node", "container"])[COUNTERS].max()
    highest = each.groupby("service").sum(min_count=1)
    rows = [
        (service, name, totals.loc[service, name], highest.loc[service, name])
        for service in totals.index[totals["restarts"] == 0]
        for name in COUNTERS
    ]
    table = pd.DataFrame(rows, columns=["service", "counter", "total", "highest"]).dropna()
    apart = (table["total"] - table["highest"]).abs() > 1e-6 * table["highest"]
    return table[apart]
