"""
The cost of a data set in time and money, including CPU credits; the cost of idling, and the
savings of autoscaling.

EC2 bills instances by the second, not replicas: removing a worker saves CPU credits at once, but
money only if its node is stopped.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from runbook_lib.core.errors import ParameterError
from runbook_lib.core.words import count_of
from runbook_lib.load.analysis.cpu_credits import CreditPlan, burst
from runbook_lib.load.analysis.machines import CpuUse
from runbook_lib.load.analysis.sizing import Sizing
from runbook_lib.load.analysis.usl import NEAR_THE_PEAK, Interval

OTHER_INSTANCES = 2
"""The manager and admin-web, which also cost money."""
IDLE_VCPUS = 0.01
"""Of one worker."""


@dataclass(frozen=True)
class Costs:
    """
    Time and money for `tiles`, with the chosen number of workers and others; `table`: see
    `costs_by_workers`, empty where the CPU of a tile is unknown.
    """

    tiles: int
    usd_per_hour: float
    chosen: int
    table: pd.DataFrame

    @property
    def at_chosen(self) -> "pd.Series[float]":
        return self.table[self.table["workers"] == self.chosen].iloc[0]

    @property
    def fewest_in_time(self) -> int:
        """
        The fewest workers that take no longer, within 5 %: if CPU credits are the limit, these can
        be fewer than for the highest throughput. 0: unknown.
        """
        if self.table.empty:
            return 0
        enough = self.table["hours"] * NEAR_THE_PEAK <= self.at_chosen["hours"]
        return int(self.table.loc[enough, "workers"].min())

    @property
    def also_fewer(self) -> str:
        """
        A sentence if fewer workers take as long because credits are the limit; else "".
        """
        fewest = self.fewest_in_time
        words = f" With {fewest} it takes no longer: then the CPU credits are the limit."
        return words if 0 < fewest < self.chosen else ""


def find_costs(sizing: Sizing, *, tiles: int, usd_per_hour: float) -> Costs:
    """
    Find the costs with each measured number of workers, and with the chosen one.

    Parameters
    ----------
    usd_per_hour
        Price of one instance with its address and disk.
    """
    table = pd.DataFrame()
    if sizing.fit is not None and sizing.use is not None:
        measured = sizing.fit.measured["replicas"].tolist() if sizing.is_recommendation else []
        table = costs_by_workers(
            sizing.fit.throughput,
            sorted({*measured, sizing.chosen}),
            sizing.use,
            sizing.machines.plan,
            tiles=tiles,
            worker_nodes=len(sizing.machines.workers),
            usd_per_hour=usd_per_hour,
        )
    return Costs(tiles, usd_per_hour, sizing.chosen, table)


def costs_by_workers(
    throughput: Callable[[float], Interval],
    counts: Iterable[int],
    use: CpuUse,
    plan: CreditPlan,
    *,
    tiles: int,
    worker_nodes: int = 4,
    usd_per_hour: float = 0.0116,
) -> pd.DataFrame:
    """
    Return the time and money of a data set, a tile or more, with each number of workers.

    Columns: workers, tiles_per_s (as measured), burst_hours (until a node has spent its credits),
    runs_out_first, sustained_share, hours_promised (without credits), hours, hours_low, hours_high
    (95 %, by the law), usd, usd_low, usd_high (all instances, manager and admin-web too).
    """
    if tiles <= 0 or worker_nodes <= 0:
        raise ParameterError(
            f"expected tiles and worker nodes; got {tiles} tiles and {worker_nodes} nodes",
            next_step="give both as numbers above zero",
        )
    usd_all = (worker_nodes + OTHER_INSTANCES) * usd_per_hour
    # the law is capped at the available CPU
    most = plan.vcpus / max(use.workers / worker_nodes, use.manager)
    rows = []
    for count in counts:
        rate = throughput(count)
        rates = [min(tiles_per_s, most) for tiles_per_s in (rate.value, rate.high, rate.low)]
        bursts = [burst(plan, use.by_node(r, worker_nodes)) for r in rates]
        hours = [b.hours_for(tiles, r) for b, r in zip(bursts, rates, strict=True)]
        names = ("", "_low", "_high")
        rows.append(
            {
                "workers": count,
                "tiles_per_s": rates[0],
                "burst_hours": bursts[0].hours,
                "runs_out_first": "" if np.isinf(bursts[0].hours) else bursts[0].slowest,
                "sustained_share": bursts[0].sustained_share,
                "hours_promised": tiles / rates[0] / 3600,
                **{f"hours{n}": h for n, h in zip(names, hours, strict=True)},
                # EC2 bills at least a minute
                **{f"usd{n}": usd_all * max(h, 1 / 60) for n, h in zip(names, hours, strict=True)},
            }
        )
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class IdleCost:
    """
    The cost of idle workers on all their nodes together.
    """

    nodes: int
    usd_per_hour: float
    credits_per_hour: float
    share_of_earned: float

    def __repr__(self) -> str:
        return (
            f"idle workers on {count_of(self.nodes, 'node')} cost {self.usd_per_hour:.4f} USD an "
            f"hour for their instances, the same as busy ones, and {self.credits_per_hour:.2g} CPU "
            f"credits an hour, {self.share_of_earned:.1%} of what their nodes earn"
        )


def idle_cost(
    idle_vcpus: dict[str, float], plan: CreditPlan, *, usd_per_hour: float = 0.0116
) -> IdleCost:
    """
    Compute the cost from the idle vCPU use of each worker node, at least one.
    """
    if not idle_vcpus:
        raise ParameterError(
            "expected the vCPUs of idle worker nodes; there are none",
            next_step="take them from a recorded run with no load",
        )
    spent = 60 * sum(idle_vcpus.values())
    earned = plan.credits_per_h * len(idle_vcpus)
    return IdleCost(len(idle_vcpus), len(idle_vcpus) * usd_per_hour, spent, spent / earned)


@dataclass(frozen=True)
class Savings:
    """
    An autoscaled run compared with a fixed number of workers; `nodes` are the worker nodes, 0 if
    unknown.
    """

    hours: float
    replica_hours: float
    fixed_replica_hours: float
    nodes: int
    node_hours: float
    fixed_node_hours: float
    credits: float
    usd_if_stopped: float

    def __repr__(self) -> str:
        share = 1 - self.replica_hours / self.fixed_replica_hours
        return (
            f"autoscaling used {self.replica_hours:.3g} of {self.fixed_replica_hours:.3g} "
            f"replica-hours in {self.hours:.2g} h ({share:.0%} saved): about {self.credits:.2g} "
            f"CPU credits, and 0 USD while every node keeps running. {self._stopped()}"
        )

    def _stopped(self) -> str:
        empty = self.fixed_node_hours - self.node_hours
        if not self.nodes:
            return "How many worker nodes there were is not recorded, nor what stopping them saves"
        if empty <= 0:
            return (
                f"Swarm spreads the workers over all {self.nodes} nodes, so none was ever without "
                "one: stopping empty nodes would save 0 node-hours"
            )
        return (
            f"Stopping each node while it has no worker would save {empty:.2g} node-hours, "
            f"{self.usd_if_stopped:.2g} USD"
        )


def autoscaling_savings(
    replicas: "pd.Series[float]", fixed: int, *, worker_nodes: int = 4, usd_per_hour: float = 0.0116
) -> Savings:
    """
    Compare replicas over two or more growing times, each until the next, with a fixed number.
    Swarm spreads replicas over the nodes: a node is empty only if there are fewer than nodes. A
    pause of ten times the usual spacing does not count: nobody knows what ran in it.
    """
    index = pd.DatetimeIndex(replicas.index)
    if len(index) < 2 or not index.is_monotonic_increasing or fixed < 1:
        raise ParameterError(
            "expected replicas over growing times, and a fixed number to compare with; got "
            f"{len(index)} times and {fixed} workers",
            next_step="take recording.autoscaler.set_index('time')['running']",
        )
    spans_h = np.diff(index.to_numpy()) / np.timedelta64(1, "h")
    spans_h = np.where(spans_h > 10 * np.median(spans_h), 0.0, spans_h)
    count = replicas.to_numpy(dtype=float)[:-1]
    hours = float(spans_h.sum())
    nodes = float((np.minimum(count, worker_nodes) * spans_h).sum())
    fixed_nodes = min(fixed, worker_nodes) * hours
    used = float((count * spans_h).sum())
    return Savings(
        hours=hours,
        replica_hours=used,
        fixed_replica_hours=fixed * hours,
        nodes=worker_nodes,
        node_hours=nodes,
        fixed_node_hours=fixed_nodes,
        credits=60 * IDLE_VCPUS * (fixed * hours - used),
        usd_if_stopped=(fixed_nodes - nodes) * usd_per_hour,
    )
