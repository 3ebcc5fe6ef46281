"""
The machines of a recording, as far as it knows them, and the CPU that a tile costs on them.
"""

from dataclasses import dataclass

import pandas as pd

from runbook_lib.core.errors import ParameterError
from runbook_lib.load.analysis.cpu_credits import CreditPlan, get_plan
from runbook_lib.load.analysis.run_costs import CpuUse, cpu_use
from runbook_lib.load.analysis.utilisation import cpu_limits_of, node_vcpus, steady
from runbook_lib.load.recordings.schema import Recording
from runbook_lib.stacks.stack_file import read

WORK_STACK = "stacks/geo-diff/work.yml"


@dataclass(frozen=True)
class Machines:
    """
    `workers` are the worker nodes that there were, `seen` those of which there are samples;
    `cpu_limits` are the containers', unknown of a stack that this project did not deploy.
    """

    instance_type: str
    plan: CreditPlan
    memory_bytes: float
    workers: tuple[str, ...]
    seen: tuple[str, ...]
    cpu_limits: dict[str, float]


def machines_of(recording: Recording, instance_type: str) -> Machines:
    """
    Read them off a recording; `instance_type` is for one that does not tell.

    Raises
    ------
    ParameterError
        The credits of that instance type are not known.
    """
    told = recording.experiment
    chosen = str(told.get("instance_type", instance_type))
    sampled = {str(n) for n in recording.stats["node"].unique() if str(n).startswith("worker-")}
    names = sampled | {n for n in told.get("hostnames", {}) if n.startswith("worker-")}
    numbers = [int(n.rpartition("-")[2]) for n in names if n.rpartition("-")[2].isdigit()]
    names |= {f"worker-{n}" for n in range(1, max(numbers, default=0) + 1)}
    limits = {}
    if "worker_cpus" in told:  # this project's stack, as 10_load_test switches it
        limits = cpu_limits_of(read(WORK_STACK))
        limits |= {"worker": float(told["worker_cpus"])} if told["worker_cpus"] else {}
    return Machines(
        instance_type=chosen,
        plan=get_plan(chosen),
        memory_bytes=float(told.get("memory_bytes", 2**30)),
        workers=tuple(sorted(names)),
        seen=tuple(sorted(sampled)),
        cpu_limits=limits,
    )


def _at_count(recording: Recording, replicas: int) -> pd.DataFrame:
    """
    The samples of the steady state, of a sweep only those with so many workers.
    """
    steps = recording.steps.dropna(subset="steady_from")
    steps = steps[steps["replicas"] == replicas]
    if steps.empty:
        return steady(recording.stats, recording, None)
    windows = zip(steps["steady_from"], steps["ended"], strict=True)
    stats = recording.stats
    return pd.concat([stats[stats["time"].between(*window)] for window in windows])


def use_per_tile(recording: Recording, machines: Machines, points: pd.DataFrame) -> CpuUse:
    """
    The CPU of a tile, from steps that all had one number of workers. Worker nodes without samples
    are taken to have used what the others did.

    Raises
    ------
    ParameterError
        The manager was not sampled, or no worker node.
    """
    if not machines.seen:
        raise ParameterError(
            "expected samples of a worker node; there are none",
            evidence="\n".join(recording.notes),
            next_step="name a recording with the files of the worker nodes",
        )
    rate = float((points["tiles_per_s"] * points["seconds"]).sum() / points["seconds"].sum())
    used = node_vcpus(_at_count(recording, int(points["replicas"].iloc[0])))
    found = cpu_use(used, rate)
    return CpuUse(found.workers * len(machines.workers) / len(machines.seen), found.manager)
