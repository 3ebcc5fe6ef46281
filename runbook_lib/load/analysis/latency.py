"""
How long results took, from the publishing of the task to the file, over time and at each load.
"""

import numpy as np
import pandas as pd

from runbook_lib.core.charts import BINS, alt
from runbook_lib.core.findings import Finding
from runbook_lib.core.words import count_of
from runbook_lib.load.analysis.throughput import dead_letters, step_points
from runbook_lib.load.recordings.schema import Recording

QUANTILES = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}
_SHORTEST_BIN_S = 5
"""The updater reports as often."""


def quantile_ms(latencies: pd.DataFrame, share: float) -> float:
    """
    Return the end of the bucket that holds this share of the results, at most 5 % too high; NaN
    without results.
    """
    counted = latencies.dropna(subset=["below_ms"]).groupby("below_ms")["results"].sum()
    if counted.empty:
        return float("nan")
    reached = np.asarray(counted.cumsum())
    return float(counted.index[int(np.searchsorted(reached, share * reached[-1]))])


def latency_table(recording: Recording, points: pd.DataFrame) -> pd.DataFrame:
    """
    Return p50, p95 and p99 of each of the steps of `throughput.step_points`, in the time that is
    counted there; no rows if latency was not recorded.

    `unstamped` results had no usable stamp and are in no quantile.
    """
    rows = []
    for point in points.to_dict("records"):
        within = recording.latencies
        within = within[within["time"].between(point["began"], point["ended"])]
        if within.empty:
            continue
        stamped = within["below_ms"].notna()
        rows.append(
            {
                **{name: point[name] for name in ("step", "replicas", "repetition")},
                "results": int(within["results"][stamped].sum()),
                "unstamped": int(within["results"][~stamped].sum()),
                **{name: quantile_ms(within, share) for name, share in QUANTILES.items()},
            }
        )
    columns = ["step", "replicas", "repetition", "results", "unstamped", *QUANTILES]
    return pd.DataFrame(rows, columns=columns).sort_values(["replicas", "repetition"])


def show_latency(recording: Recording) -> Finding:
    """
    Draw the quantiles at each number of workers, and over time.
    """
    known = recording.latencies.dropna(subset=["below_ms"])
    table = latency_table(recording, step_points(recording)).dropna(subset=["p50_ms"])
    if known.empty or table.empty:
        return Finding("tasks that the dealer stamped, in a steady part")
    ends = []
    for workers in dict.fromkeys((table["replicas"].min(), table["replicas"].max())):
        means = table[table["replicas"] == workers][list(QUANTILES)].mean()
        p50, p95, p99 = (_words(means[name]) for name in QUANTILES)
        ends.append(
            f"{count_of(int(workers), 'worker')}: half within {p50}, 95 % within {p95}, 99 % "
            f"within {p99}"
        )
    words = f"{'; '.join(ends)}. Each is at most 5 % too high."
    if without := int(recording.latencies["results"].sum() - known["results"].sum()):
        words += f" Not counted: {count_of(without, 'result')} without a usable stamp."
    buried = dead_letters(recording)
    if not np.isnan(buried):
        words += f" {count_of(int(buried), 'task')} became dead letters."
    title = f"95 % of results came within {_words(table['p95_ms'].max())} in every step"
    return Finding(words, alt.vconcat(_by_load(table), _over_time(known)).properties(title=title))


def _by_load(table: pd.DataFrame) -> alt.Chart:
    chart = alt.Chart(_long(table, "replicas"), width=420, height=180)
    drawn: alt.Chart = chart.mark_point(filled=True, size=70).encode(
        x=alt.X("replicas:Q", title="workers").axis(tickMinStep=1), y=_seconds(), color=_quantile()
    )
    return drawn


def _over_time(known: pd.DataFrame) -> alt.Chart:
    span_s = (known["time"].max() - known["time"].min()).total_seconds()
    bins = known["time"].dt.floor(f"{max(_SHORTEST_BIN_S, round(span_s / BINS))}s")
    rows = [
        {"time": at, **{name: quantile_ms(mine, share) for name, share in QUANTILES.items()}}
        for at, mine in known.groupby(bins)
    ]
    drawn: alt.Chart = (
        alt.Chart(_long(pd.DataFrame(rows), "time"), width=620, height=180)
        .mark_line()
        .encode(
            x=alt.X("time:T", title="time (UTC)").scale(type="utc").axis(format="%H:%M:%S"),
            y=_seconds(),
            color=_quantile(),
        )
    )
    return drawn


def _long(table: pd.DataFrame, key: str) -> pd.DataFrame:
    long = table.melt(key, list(QUANTILES), var_name="quantile", value_name="ms")
    return long.assign(seconds=long["ms"] / 1000, quantile=long["quantile"].str.removesuffix("_ms"))


def _seconds() -> alt.Y:
    return alt.Y("seconds:Q", title="seconds to the result").scale(type="log")


def _quantile() -> alt.Color:
    names = [name.removesuffix("_ms") for name in QUANTILES]
    scale = alt.Scale(domain=names, range=["#1b7f79", "#e8590c", "#c2255c"])
    return alt.Color("quantile:N", title=None, scale=scale)


def _words(ms: float) -> str:
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.3g} s"
