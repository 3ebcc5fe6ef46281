"""
The resources of a recorded run against their limits, in the steady state.
"""

import numpy as np
import pandas as pd
from scipy.stats import theilslopes

from runbook_lib.load.analysis.usl import mean_interval
from runbook_lib.stacks.compose.stack_file import StackFile

BATCHES = 10
"""Successive samples are correlated; the means of ten periods hardly are."""


def cpu_limits_of(stack: StackFile) -> dict[str, float]:
    """
    Return the CPU limit of a container of each service.
    """
    limits = {
        name: spec.get("deploy", {}).get("resources", {}).get("limits", {}).get("cpus")
        for name, spec in stack.services.items()
    }
    return {name: float(cpus) for name, cpus in limits.items() if cpus is not None}


def node_vcpus(stats: pd.DataFrame) -> dict[str, float]:
    """
    Return the mean vCPU use of each node's containers, without its engine and kernel, which are
    not sampled.
    """
    return {
        str(node): float(_per_moment(own, "cpu_percent").mean()) / 100
        for node, own in stats.groupby("node")
    }


def utilisation(
    stats: pd.DataFrame, cpu_limits: dict[str, float], *, vcpus: float, memory_bytes: float
) -> pd.DataFrame:
    """
    Compare resources with their limits, the most used first; columns as in `Bottleneck`.
    """
    rows = []
    for node, own in stats.groupby("node"):
        cpu = _per_moment(own, "cpu_percent") / 100
        memory = _per_moment(own, "memory_bytes")
        rows.append(_row(f"CPU of {node}", str(node), "node cpu", cpu, vcpus))
        rows.append(_row(f"memory of {node}", str(node), "node memory", memory, memory_bytes))
    for service, own in stats.groupby("service"):
        short = str(service).removesuffix("-server")  # the authors' broker: rabbitmq-server
        moments = own.groupby(own["time"].dt.floor("1s"))
        if short in cpu_limits:
            cpu = moments["cpu_percent"].mean() / 100
            rows.append(_row(f"CPU limit of {short}", short, "limit cpu", cpu, cpu_limits[short]))
        share = (own["memory_bytes"] / own["memory_limit_bytes"]).groupby(own["time"]).max()
        limit = float(own["memory_limit_bytes"].max())
        if np.isfinite(limit) and limit > 0:
            name = f"memory limit of {short}"
            rows.append(_row(name, short, "limit memory", share * limit, limit))
    columns = ["resource", "of", "kind", "used", "limit", "utilisation", "low", "high", "samples"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("utilisation", ascending=False, ignore_index=True)


def queue_growth(queues: pd.DataFrame) -> pd.DataFrame:
    """
    Measure each queue's growth: Theil's slope, robust to bursts, with its 95 % interval.
    """
    rows = []
    for queue, own in queues.dropna(subset="ready").groupby("queue"):
        if len(own) < BATCHES:
            continue
        thin = own.sort_values("time").iloc[:: max(1, len(own) // 300)]
        seconds = (thin["time"] - thin["time"].iloc[0]).dt.total_seconds().to_numpy()
        growth, _, low, high = theilslopes(thin["ready"].to_numpy(), seconds, alpha=0.95)
        empty = float((own["ready"] <= 0).mean())
        rows.append((queue, own["ready"].median(), empty, growth, low, high))
    columns = ["queue", "ready", "empty", "growth_per_s", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _per_moment(own: pd.DataFrame, column: str) -> "pd.Series[float]":
    # the sum over a node's containers, whose samples are up to a second apart
    moment = own["time"].dt.floor("1s")
    each = own.groupby([moment, "container"])[column].mean()
    sums: pd.Series[float] = each.groupby(level=0).sum()
    return sums


def _row(
    resource: str, of: str, kind: str, used: "pd.Series[float]", limit: float
) -> tuple[str, str, str, float, float, float, float, float, int]:
    """
    Build a row of `utilisation`; the interval of the mean is that of the means of periods, and NaN
    if there are too few samples.
    """
    values = used.dropna().to_numpy(dtype=float) / limit
    mean = float(values.mean()) if len(values) else np.nan
    low = high = np.nan
    if len(values) >= 2 * BATCHES:
        stretches = np.array([part.mean() for part in np.array_split(values, BATCHES)])
        _, low, high = mean_interval(stretches)
    return resource, of, kind, mean * limit, limit, mean, max(low, 0.0), high, len(values)
