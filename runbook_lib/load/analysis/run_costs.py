"""
What a data set costs in time and money, with the CPU credits counted; what idling costs, and what
autoscaling saves.

EC2 bills instances by the second and knows no replicas: a worker that is taken away saves CPU
credits at once, and money only where its node is stopped.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from runbook_lib.core.errors import ParameterError
from runbook_lib.load.analysis.cpu_credits import Balance, CreditPlan, burst
from runbook_lib.load.analysis.scalability_law import Throughput


@dataclass(frozen=True)
class CpuUse:
    """
    What a tile costs in vCPU-seconds: on all worker nodes together, and on the manager.
    """

    workers: float
    manager: float

    def by_node(self, tiles_per_s: float, worker_nodes: int) -> dict[str, float]:
        """
        The vCPUs in use on the manager and on each worker node, the tiles spread evenly.
        """
        return {
            "manager": self.manager * tiles_per_s,
            **{
                f"worker-{n + 1}": self.workers * tiles_per_s / worker_nodes
                for n in range(worker_nodes)
            },
        }


def cpu_use(vcpus_by_node: dict[str, float], tiles_per_s: float) -> CpuUse:
    """
    Divide what was measured, `utilisation.node_vcpus`, by the rate at which it was.

    Raises
    ------
    ParameterError
        Nothing was done, or the manager was not sampled.
    """
    if not (np.isfinite(tiles_per_s) and tiles_per_s > 0) or "manager" not in vcpus_by_node:
        raise ParameterError(
            "expected the CPU of manager and workers at a rate of tiles above zero; got "
            f"{tiles_per_s:g} tiles a second",
            evidence=f"nodes: {', '.join(vcpus_by_node) or 'none'}",
            next_step="take both from one recorded run",
        )
    workers = sum(u for node, u in vcpus_by_node.items() if node.startswith("worker"))
    return CpuUse(workers / tiles_per_s, vcpus_by_node["manager"] / tiles_per_s)


def cost_table(
    law: Throughput,
    counts: Iterable[int],
    use: CpuUse,
    plan: CreditPlan,
    *,
    tiles: int,
    worker_nodes: int = 4,
    other_instances: int = 2,
    usd_per_hour: float = 0.0116,
    balance: Balance | None = None,
) -> pd.DataFrame:
    """
    What so many tiles take with each number of workers.

    Columns: workers, tiles_per_s (as measured), burst_hours (until a node has spent its credits),
    runs_out_first, sustained_share, hours_promised (without credits), hours, hours_low, hours_high
    (95 %, by the law), usd, usd_low, usd_high (all instances, manager and admin-web too).

    Raises
    ------
    ParameterError
        No tiles, or no nodes.
    """
    if tiles <= 0 or worker_nodes <= 0:
        raise ParameterError(
            f"expected tiles and worker nodes; got {tiles} tiles and {worker_nodes} nodes",
            next_step="give both as numbers above zero",
        )
    rows = []
    instances = worker_nodes + other_instances
    for count in counts:
        rate = law.throughput(count)
        # a law that reaches further than the CPU there is ends at the CPU
        most = plan.vcpus / max(use.workers / worker_nodes, use.manager)
        hours = []
        for tiles_per_s in (rate.value, rate.high, rate.low):
            found = burst(plan, use.by_node(min(tiles_per_s, most), worker_nodes), balance)
            hours.append(found.hours_for(tiles, min(tiles_per_s, most)))
        at = burst(plan, use.by_node(min(rate.value, most), worker_nodes), balance)
        usd = [instances * usd_per_hour * max(h, 1 / 60) for h in hours]  # a minute at least
        rows.append(
            {
                "workers": count,
                "tiles_per_s": min(rate.value, most),
                "burst_hours": at.hours,
                "runs_out_first": "" if np.isinf(at.hours) else at.slowest,
                "sustained_share": at.sustained_share,
                "hours_promised": tiles / min(rate.value, most) / 3600,
                "hours": hours[0],
                "hours_low": hours[1],
                "hours_high": hours[2],
                "usd": usd[0],
                "usd_low": usd[1],
                "usd_high": usd[2],
            }
        )
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class IdleCost:
    """
    What workers cost while there is nothing to do, on all nodes together.
    """

    usd_per_hour: float
    credits_per_hour: float
    share_of_earned: float

    def __repr__(self) -> str:
        return (
            f"idle workers cost {self.usd_per_hour:.4f} USD an hour for their instances, which "
            f"being idle does not change, and {self.credits_per_hour:.2f} CPU credits an hour, "
            f"{self.share_of_earned:.0%} of what their nodes earn"
        )


def idle_cost(
    idle_vcpus: dict[str, float], plan: CreditPlan, *, usd_per_hour: float = 0.0116
) -> IdleCost:
    """
    From the vCPUs that each worker node uses while it idles.

    Raises
    ------
    ParameterError
        There is no node.
    """
    if not idle_vcpus:
        raise ParameterError(
            "expected the vCPUs of idle worker nodes; there are none",
            next_step="take them from a recorded run with no load",
        )
    spent = 60 * sum(idle_vcpus.values())
    earned = plan.credits_per_h * len(idle_vcpus)
    return IdleCost(len(idle_vcpus) * usd_per_hour, spent, spent / earned)


@dataclass(frozen=True)
class Savings:
    """
    An autoscaled run beside one with a fixed number of workers.
    """

    hours: float
    replica_hours: float
    fixed_replica_hours: float
    node_hours: float
    fixed_node_hours: float
    credits: float
    usd_if_stopped: float

    @property
    def share(self) -> float:
        """
        Of the replica-hours, how many were saved.
        """
        return 1 - self.replica_hours / self.fixed_replica_hours

    def __repr__(self) -> str:
        return (
            f"autoscaling kept {self.replica_hours:.1f} of {self.fixed_replica_hours:.1f} "
            f"replica-hours in {self.hours:.1f} h ({self.share:.0%} saved): "
            f"{self.credits:.1f} CPU credits, and 0 USD as long as every node goes on running. "
            f"Stopping a node that has no worker would save "
            f"{self.fixed_node_hours - self.node_hours:.1f} node-hours, "
            f"{self.usd_if_stopped:.4f} USD"
        )


def autoscaling_savings(
    replicas: "pd.Series[float]",
    fixed: int,
    *,
    replicas_per_node: int = 2,
    idle_vcpus_per_replica: float = 0.01,
    usd_per_hour: float = 0.0116,
) -> Savings:
    """
    Compare replicas over time with a fixed number.

    Parameters
    ----------
    replicas
        Indexed by time, each value until the next; `autoscaler` of a recording has them.

    Raises
    ------
    ParameterError
        Fewer than two times, or times that do not grow.
    """
    index = pd.DatetimeIndex(replicas.index)
    if len(index) < 2 or not index.is_monotonic_increasing or fixed < 1 or replicas_per_node < 1:
        raise ParameterError(
            "expected replicas over growing times, and a fixed number to compare with; got "
            f"{len(index)} times and {fixed} workers, {replicas_per_node} a node",
            next_step="take recording.autoscaler.set_index('time')['running']",
        )
    spans_h = np.diff(index.to_numpy()) / np.timedelta64(1, "h")
    count = replicas.to_numpy(dtype=float)[:-1]
    hours = float(spans_h.sum())
    nodes = float((np.ceil(count / replicas_per_node) * spans_h).sum())
    fixed_nodes = float(np.ceil(fixed / replicas_per_node)) * hours
    used = float((count * spans_h).sum())
    return Savings(
        hours=hours,
        replica_hours=used,
        fixed_replica_hours=fixed * hours,
        node_hours=nodes,
        fixed_node_hours=fixed_nodes,
        credits=60 * idle_vcpus_per_replica * (fixed * hours - used),
        usd_if_stopped=(fixed_nodes - nodes) * usd_per_hour,
    )
