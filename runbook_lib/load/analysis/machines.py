"""
The machines of a recording, as far as it describes them, and their CPU use per tile.
"""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from runbook_lib.core.errors import ParameterError
from runbook_lib.load.analysis.at_work import within
from runbook_lib.load.analysis.cpu_credits import CreditPlan, get_plan
from runbook_lib.load.analysis.utilisation import cpu_limits_of, node_vcpus
from runbook_lib.load.recordings.schema import Recording
from runbook_lib.stacks.compose.reading import read

WORK_STACK = "stacks/geo-diff/work.yml"
_NUMBERED = re.compile(r"worker-([0-9]{1,9})")
MOST_NODES = 1000
"""A node's number may come from the name of a file: above this, it counts nothing."""


@dataclass(frozen=True)
class Machines:
    """
    The machines: `workers` are the existing worker nodes, `sampled` those with samples; the
    containers' `cpu_limits` are unknown in published logs.
    """

    instance_type: str
    plan: CreditPlan
    memory_bytes: float
    workers: tuple[str, ...]
    sampled: tuple[str, ...]
    cpu_limits: dict[str, float]


@dataclass(frozen=True)
class CpuUse:
    """
    The vCPU-seconds per tile: on all worker nodes together, and on the manager.
    """

    workers: float
    manager: float

    def by_node(self, tiles_per_s: float, worker_nodes: int) -> dict[str, float]:
        """
        Return the vCPUs in use on the manager and on each worker node, the tiles spread evenly.
        """
        each = self.workers * tiles_per_s / worker_nodes
        return {
            "manager": self.manager * tiles_per_s,
            **{f"worker-{n + 1}": each for n in range(worker_nodes)},
        }


def machines_of(recording: Recording, instance_type: str) -> Machines:
    """
    Read the machines from a recording; `instance_type` is used if the recording has none.
    """
    known = recording.experiment
    chosen = str(known.get("instance_type", instance_type))
    workers = worker_nodes(recording)
    limits = dict(known.get("cpu_limits", {}))  # of the live services, by 13_record_a_stack
    if "worker_cpus" in known:  # this project's stack, as 10_load_test switches it
        limits = cpu_limits_of(read(WORK_STACK))
        limits |= {"worker": float(known["worker_cpus"])} if known["worker_cpus"] else {}
    return Machines(
        instance_type=chosen,
        plan=get_plan(chosen),
        memory_bytes=float(known.get("memory_bytes", 2**30)),
        workers=workers,
        sampled=tuple(sorted({*workers} & {*recording.stats["node"]})),
        cpu_limits=limits,
    )


def worker_nodes(recording: Recording) -> tuple[str, ...]:
    """
    Name the worker nodes: those with samples of a worker, whatever their names, those that are
    called worker-N, and the numbers between.
    """
    stats = recording.stats
    names = {str(name) for name in {*stats["node"], *recording.experiment.get("hostnames", {})}}
    names = {name for name in names if name.startswith("worker-")}
    numbers = [int(match[1]) for name in names if (match := _NUMBERED.fullmatch(name))]
    gaps = range(1, min(max(numbers, default=0), MOST_NODES) + 1)
    names |= {f"worker-{n}" for n in gaps}
    at_work = stats[(stats["service"] == "worker") & (stats["node"] != "manager")]
    return tuple(sorted(names | {str(name) for name in at_work["node"].unique()}))


def occupied_nodes(stats: pd.DataFrame, then: pd.DataFrame) -> list[str]:
    """
    Name the nodes, without the manager, that had workers in the time of the samples `then`.

    A node with other containers then was empty; one without any sample is assumed to have had
    its workers.
    """
    workers = stats[(stats["service"] == "worker") & (stats["node"] != "manager")]
    there = set(then.loc[then["service"] == "worker", "node"])
    sampled = set(then["node"])
    nodes = set(workers["node"])
    return sorted(str(node) for node in nodes if node in there or node not in sampled)


def signs_of_another_type(recording: Recording, instance_type: str) -> list[str]:
    """
    List what in a recording contradicts the instance type: its own record of it, or a size that
    the type does not have.
    """
    known, plan = recording.experiment, get_plan(instance_type)
    most = 2**30 * plan.memory_gib
    signs = []
    if known.get("instance_type", instance_type) != instance_type:
        signs.append(f"it was recorded on {known['instance_type']}")
    if known.get("vcpus", plan.vcpus) != plan.vcpus:
        signs.append(f"its nodes had {known['vcpus']} vCPU, not {plan.vcpus}")
    if float(known.get("memory_bytes", most)) > most:
        signs.append(f"its nodes had {known['memory_bytes'] / 2**30:.3g} GiB, not {most / 2**30:g}")
    used = recording.stats.groupby(["node", "time"])["memory_bytes"].sum().max()
    if used > most:
        signs.append(f"containers of a node used {used / 2**30:.3g} GiB of {most / 2**30:g}")
    return signs


def cpu_use(vcpus_by_node: dict[str, float], tiles_per_s: float) -> CpuUse:
    """
    Divide the measured CPU of the manager and the worker nodes, see `node_vcpus`, by the rate of
    the same time. Raises ParameterError without tiles, or without the manager's CPU.
    """
    if "manager" not in vcpus_by_node:
        raise ParameterError(
            "the manager was not sampled, so the CPU of a tile is unknown",
            evidence=f"sampled: {', '.join(vcpus_by_node) or 'no node'}",
            next_step="take a recording in which the manager is sampled too",
        )
    if not (np.isfinite(tiles_per_s) and tiles_per_s > 0):
        raise ParameterError(
            f"expected tiles to share the CPU among; got {tiles_per_s:g} tiles a second",
            evidence=f"sampled: {', '.join(vcpus_by_node)}",
            next_step="take CPU and rate from the same minutes of one recorded run",
        )
    workers = sum(u for node, u in vcpus_by_node.items() if node != "manager")
    return CpuUse(workers / tiles_per_s, vcpus_by_node["manager"] / tiles_per_s)


def use_per_tile(recording: Recording, machines: Machines, points: pd.DataFrame) -> CpuUse:
    """
    Compute the CPU per tile over the time of `points`, steps with the same number of workers.
    Worker nodes without samples are assumed to have used as much as the others.

    Raises ParameterError if the manager or the worker nodes have no samples in that time.
    """
    if not machines.sampled:
        raise ParameterError(
            "expected samples of a worker node; there are none",
            evidence="\n".join(recording.notes),
            next_step="name a recording with the files of the worker nodes",
        )
    rate = float((points["tiles_per_s"] * points["seconds"]).sum() / points["seconds"].sum())
    spans = list(zip(points["began"], points["ended"], strict=True))
    vcpus = node_vcpus(recording.stats[within(recording.stats["time"], spans)])
    known = {node: vcpus[node] for node in ("manager", *machines.sampled) if node in vcpus}
    use = cpu_use(known, rate)
    return CpuUse(use.workers * len(machines.workers) / len(machines.sampled), use.manager)
