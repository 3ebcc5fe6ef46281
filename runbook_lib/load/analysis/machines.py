"""
The machines of a recording, as far as it describes them, and their CPU use per tile.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from runbook_lib.core.errors import ParameterError
from runbook_lib.load.analysis.cpu_credits import CreditPlan, get_plan
from runbook_lib.load.analysis.utilisation import cpu_limits_of, node_vcpus, steady
from runbook_lib.load.recordings.schema import Recording
from runbook_lib.stacks.compose.reading import read

WORK_STACK = "stacks/geo-diff/work.yml"


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
    sampled = {str(n) for n in recording.stats["node"].unique() if str(n).startswith("worker-")}
    names = sampled | {n for n in known.get("hostnames", {}) if n.startswith("worker-")}
    numbers = [int(n.rpartition("-")[2]) for n in names if n.rpartition("-")[2].isdigit()]
    names |= {f"worker-{n}" for n in range(1, max(numbers, default=0) + 1)}
    limits = dict(known.get("cpu_limits", {}))  # of the live services, by 13_record_a_stack
    if "worker_cpus" in known:  # this project's stack, as 10_load_test switches it
        limits = cpu_limits_of(read(WORK_STACK))
        limits |= {"worker": float(known["worker_cpus"])} if known["worker_cpus"] else {}
    return Machines(
        instance_type=chosen,
        plan=get_plan(chosen),
        memory_bytes=float(known.get("memory_bytes", 2**30)),
        workers=tuple(sorted(names)),
        sampled=tuple(sorted(sampled)),
        cpu_limits=limits,
    )


def cpu_use(vcpus_by_node: dict[str, float], tiles_per_s: float) -> CpuUse:
    """
    Divide the measured CPU, see `node_vcpus`, by the rate of the same time. Raises ParameterError
    without tiles, or without the manager's CPU.
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


def use_per_tile(recording: Recording, machines: Machines, points: pd.DataFrame) -> CpuUse:
    """
    Compute the CPU per tile, from steps with the same number of workers. Worker nodes without
    samples are assumed to have used as much as the others.

    Raises ParameterError if the manager or the worker nodes have no samples.
    """
    if not machines.sampled:
        raise ParameterError(
            "expected samples of a worker node; there are none",
            evidence="\n".join(recording.notes),
            next_step="name a recording with the files of the worker nodes",
        )
    rate = float((points["tiles_per_s"] * points["seconds"]).sum() / points["seconds"].sum())
    steps = recording.steps
    chosen = steps[steps["replicas"] == int(points["replicas"].iloc[0])]
    if chosen["steady_from"].notna().any():
        recording = replace(recording, steps=chosen)
    use = cpu_use(node_vcpus(steady(recording.stats, recording)), rate)
    return CpuUse(use.workers * len(machines.workers) / len(machines.sampled), use.manager)
