"""
The sizing of a recorded load: how many workers, how fast they are, and what limits them.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.core.findings import first_line
from runbook_lib.load.analysis.at_work import Spans
from runbook_lib.load.analysis.bottleneck import Bottleneck, find_bottleneck
from runbook_lib.load.analysis.cpu_credits import Burst, burst
from runbook_lib.load.analysis.machines import CpuUse, Machines, machines_of, use_per_tile
from runbook_lib.load.analysis.overrun import find_overruns
from runbook_lib.load.analysis.throughput import left_out_steps, step_points
from runbook_lib.load.analysis.usl import NEAR_THE_PEAK, Interval
from runbook_lib.load.analysis.usl_fit import UslFit, fit_usl
from runbook_lib.load.recordings.schema import Recording


@dataclass(frozen=True)
class Sizing:
    """
    The results of a recording; None where it has none, with the reasons in `limits`.

    `points`: the steps, see `step_points`, and `limited_by` ("workers", or "dealer" where the
    workers' own limit is unknown). `workers` is the number to use, or without a law the number
    with the highest throughput; `sure` is the probability that it reaches 95 % of the best, NaN
    without a law. `use`: the CPU per tile.
    """

    recording: Recording
    machines: Machines
    points: pd.DataFrame
    fit: UslFit | None
    workers: Interval | None
    sure: float
    bottleneck: Bottleneck | None
    use: CpuUse | None
    limits: tuple[str, ...]

    @property
    def is_recommendation(self) -> bool:
        """
        Whether the number of workers is based on a law, and so on several measured numbers.
        """
        return self.fit is not None and self.fit.law is not None

    @property
    def chosen(self) -> int:
        """
        The number of workers; 0 if unknown.
        """
        return int(self.workers.value) if self.workers else 0

    @property
    def rate(self) -> Interval | None:
        """
        Tiles a second with that number of workers.
        """
        if self.fit is None or self.workers is None:
            return None
        return self.fit.throughput(self.workers.value)

    @property
    def vcpus_by_node(self) -> dict[str, float]:
        """
        The vCPUs in use at that rate; empty if the CPU per tile is unknown.
        """
        if self.use is None or self.rate is None:
            return {}
        used = self.use.by_node(self.rate.value, len(self.machines.workers))
        return {node: min(self.machines.plan.vcpus, cpu) for node, cpu in used.items()}

    @property
    def burst(self) -> Burst | None:
        """
        The time for which new instances keep that rate.
        """
        return burst(self.machines.plan, self.vcpus_by_node) if self.vcpus_by_node else None


def find_sizing(recording: Recording, *, instance_type: str, most_workers: int = 0) -> Sizing:
    """
    Compute the sizing; the credits of the instance type must be known.

    Parameters
    ----------
    instance_type
        Used for a recording without one.
    most_workers
        The highest number to consider; 0, or more than measured, means the highest measured number.
    """
    machines = machines_of(recording, instance_type)
    overruns = find_overruns(recording.stats, machines.plan)
    points = _points(recording, [(overrun.began, overrun.ended) for overrun in overruns])
    fit, workers, bottleneck, use = _fit(points), None, None, None
    sure = float("nan")
    limits = ["it has no throughput"] if fit is None else []
    if fit is not None:
        workers, sure = _workers(fit, most_workers)
        limits += [fit.limit] if fit.law is None else []
    limits += left_out_steps(points)
    limits += [f"{overrun}; these minutes are left out" for overrun in overruns]
    try:
        bottleneck = find_bottleneck(
            _at_work(recording, points, workers),
            machines.cpu_limits,
            vcpus=machines.plan.vcpus,
            memory_bytes=machines.memory_bytes,
        )
    except NotFoundError as error:
        limits.append(first_line(error))
    if workers is not None:
        try:
            use = use_per_tile(recording, machines, _nearest(points, workers.value))
        except ParameterError as error:
            limits.append(f"no costs: {first_line(error)}")
    absent = [name for name in machines.workers if name not in machines.sampled]
    if absent and use is not None:
        limits.append(f"{', '.join(absent)} not sampled: assumed to have worked as the others did")
    return Sizing(recording, machines, points, fit, workers, sure, bottleneck, use, tuple(limits))


def _points(recording: Recording, unusable: Spans) -> pd.DataFrame:
    # where no task waited, or that is unknown, the dealer set the pace
    points = step_points(recording, unusable)
    waited = points["waiting"].fillna(1.0).ge(1.0)
    unseen = points["waiting"].isna() & points["counted_by"].eq("publishing")
    return points.assign(limited_by=np.where(waited & ~unseen, "workers", "dealer"))


def _fit(points: pd.DataFrame) -> UslFit | None:
    # fit the steps in which the workers were the limit
    points = _usable(points)
    if points.empty:
        return None
    own = points[points["limited_by"] == "workers"]
    if own.empty:
        limit = (
            "the dealer set the pace, as far as this recording shows: these workers kept up, and "
            "fewer might have"
        )
        return replace(fit_usl(points), law=None, limit=limit)
    fit = fit_usl(own)
    if len(own) < len(points):
        left_out = f"{len(points) - len(own)} of {len(points)} steps ran out of tasks"
        limit = "; ".join(filter(None, [fit.limit, f"{left_out} and are left out"]))
        fit = replace(fit, limit=limit)
    return fit


def _workers(fit: UslFit, most_workers: int) -> tuple[Interval, float]:
    # the number to use, and the probability that it is enough
    measured = fit.measured.set_index("replicas")["tiles_per_s"]
    most = int(measured.index.max())
    most = min(most, most_workers) if most_workers else most
    allowed = measured[measured.index <= most]
    if fit.law is not None and (fit.follows_law or allowed.empty):
        enough = fit.law.enough(most)
        return enough, float(fit.law.near_the_best(most)[int(enough.value) - 1])
    if fit.law is None or allowed.empty:
        best = float(measured.index[int(measured.argmax())])
        return Interval(best, best, best), float("nan")
    # the curve does not describe the steps: use the fewest among the measured counts
    near = allowed[allowed >= NEAR_THE_PEAK * allowed.max()]
    least = float(near.index.min())
    return Interval(least, least, float(near.index.max())), float("nan")


def _at_work(recording: Recording, points: pd.DataFrame, workers: Interval | None) -> Recording:
    # in a sweep, the steps nearest to the chosen number: the bottleneck depends on it
    if workers is None or recording.steps.empty:
        return recording
    own = recording.steps["step"].isin(_nearest(points, workers.value)["step"])
    return replace(recording, steps=recording.steps[own])


def _nearest(points: pd.DataFrame, workers: float) -> pd.DataFrame:
    # of two equally near, the higher one, where the curve is flat; a step that did nothing has
    # CPU and no tiles
    points = _usable(points)
    nearest = min(points["replicas"], key=lambda count: (abs(count - workers), -count))
    same: pd.DataFrame = points[points["replicas"] == nearest]
    return same


def _usable(points: pd.DataFrame) -> pd.DataFrame:
    usable: pd.DataFrame = points[(points["tiles_per_s"] > 0) & ~points["throttled"].astype(bool)]
    return usable
