"""
How long results took at each step of a load test.
"""

import numpy as np
import pandas as pd

from runbook_lib.load.recordings.schema import Recording

_QUANTILES = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}


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


def latency_table(recording: Recording) -> pd.DataFrame:
    """
    Return p50, p95 and p99 of each step's steady part, from the task's publishing to the result's
    file; no rows if latency was not recorded.

    `unstamped` results had no usable stamp and are in no quantile.
    """
    rows = []
    latencies = recording.latencies
    for step in recording.steps.dropna(subset=["steady_from"]).to_dict("records"):
        within = latencies[latencies["time"].between(step["steady_from"], step["ended"])]
        if within.empty:
            continue
        stamped = within["below_ms"].notna()
        rows.append(
            {
                "replicas": step["replicas"],
                "repetition": step["repetition"],
                "results": int(within["results"][stamped].sum()),
                "unstamped": int(within["results"][~stamped].sum()),
                **{name: quantile_ms(within, share) for name, share in _QUANTILES.items()},
            }
        )
    columns = ["replicas", "repetition", "results", "unstamped", *_QUANTILES]
    return pd.DataFrame(rows, columns=columns).sort_values(["replicas", "repetition"])
