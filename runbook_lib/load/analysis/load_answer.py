"""
The answer of a load analysis: how many workers, how fast, what holds them back, what it costs.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.core.findings import first_line
from runbook_lib.load.analysis.bottleneck import Bottleneck, find_bottleneck
from runbook_lib.load.analysis.load_machines import Machines, machines_of, use_per_tile
from runbook_lib.load.analysis.run_costs import CpuUse, cost_table
from runbook_lib.load.analysis.scalability import MISFIT, Scalability, fit
from runbook_lib.load.analysis.scalability_law import NEAR_THE_PEAK, Interval
from runbook_lib.load.analysis.throughput import step_points
from runbook_lib.load.recordings.schema import Recording

OTHER_INSTANCES = 2
"""The manager and admin-web: they are paid for too."""


@dataclass(frozen=True)
class Answer:
    """
    What a recording tells; None, or an empty table, where it does not, and `limits` say why.

    `points`: the steps, see `step_points`, and `limited_by` ("workers", or "dealer" where nobody
    knows what the workers could have done). `workers` is the number to use, or without a law the
    one that did most. `costs`: see `cost_table`.
    """

    recording: Recording
    machines: Machines
    tiles: int
    usd_per_hour: float
    points: pd.DataFrame
    scalability: Scalability | None
    workers: Interval | None
    bottleneck: Bottleneck | None
    use: CpuUse | None
    costs: pd.DataFrame
    limits: tuple[str, ...]

    @property
    def is_recommendation(self) -> bool:
        """
        Whether the number of workers rests on more than one.
        """
        return self.scalability is not None and self.scalability.law is not None

    @property
    def rate(self) -> Interval | None:
        """
        Tiles a second with that number of workers.
        """
        if self.scalability is None or self.workers is None:
            return None
        return self.scalability.throughput(self.workers.value)

    @property
    def fewest_in_time(self) -> int:
        """
        The fewest workers that take no longer for the data set, within 5 %; credits may see to it
        that these are fewer than it takes for the highest throughput. 0: not known.
        """
        if self.costs.empty:
            return 0
        hours = self.costs["hours"]
        enough = self.costs[
            hours * NEAR_THE_PEAK <= hours[self.costs["workers"] == self.chosen].min()
        ]
        return int(enough["workers"].min())

    @property
    def chosen(self) -> int:
        """
        The number of workers; 0 where nothing tells one.
        """
        return int(self.workers.value) if self.workers else 0


def find_answer(
    recording: Recording,
    *,
    tiles: int,
    instance_type: str,
    usd_per_hour: float,
    most_workers: int = 0,
) -> Answer:
    """
    Compute it.

    Parameters
    ----------
    instance_type
        For a recording that does not tell it.
    usd_per_hour
        Of one instance with its address and disk.
    most_workers
        The most to consider; 0, or more than were measured: as many as were measured.

    Raises
    ------
    ParameterError
        The credits of the instance type are not known.
    """
    machines = machines_of(recording, instance_type)
    limits = []
    points = _points(recording)
    scalability = _scalability(points)
    if scalability is None:
        limits.append("nothing in it tells tiles a second")
    elif scalability.law is None:
        limits.append(scalability.limit)
    workers = _workers(scalability, most_workers) if scalability is not None else None
    bottleneck, use, costs = None, None, pd.DataFrame()
    try:
        bottleneck = find_bottleneck(
            _at_work(recording, points, workers),
            machines.cpu_limits,
            vcpus=machines.plan.vcpus,
            memory_bytes=machines.memory_bytes,
        )
    except NotFoundError as error:
        limits.append(first_line(error))
    if scalability is not None and workers is not None:
        try:
            use = use_per_tile(recording, machines, _nearest(points, workers.value))
        except ParameterError as error:
            limits.append(f"no costs: {first_line(error)}")
        else:
            costs = cost_table(
                scalability,
                _counts(scalability, int(workers.value)),
                use,
                machines.plan,
                tiles=tiles,
                worker_nodes=len(machines.workers),
                other_instances=OTHER_INSTANCES,
                usd_per_hour=usd_per_hour,
            )
    absent = [name for name in machines.workers if name not in machines.seen]
    if absent and use is not None:
        limits.append(f"{', '.join(absent)} not sampled: taken to have worked as the others did")
    return Answer(
        recording,
        machines,
        tiles,
        usd_per_hour,
        points,
        scalability,
        workers,
        bottleneck,
        use,
        costs,
        tuple(limits),
    )


def _points(recording: Recording) -> pd.DataFrame:
    """
    The steps; where no task waited, or nobody saw if one did, the dealer set the pace.
    """
    points = step_points(recording)
    waited = points["waiting"].fillna(1.0).ge(1.0)
    unseen = points["waiting"].isna() & points["counted_by"].eq("publishing")
    return points.assign(limited_by=np.where(waited & ~unseen, "workers", "dealer"))


def _scalability(points: pd.DataFrame) -> Scalability | None:
    """
    The law of the steps in which the workers were the limit; None: no step at all.
    """
    if not (points["tiles_per_s"] > 0).any():
        return None
    points = points[points["tiles_per_s"] > 0]
    own = points[points["limited_by"] == "workers"]
    paced = len(points) - len(own)
    if own.empty:
        return replace(
            fit(points),
            law=None,
            limit="the dealer set the pace, as far as this recording tells: these workers kept up, "
            "and nothing says that fewer would not have",
        )
    found = fit(own)
    if paced:
        said = f"{paced} of {len(points)} steps ran out of tasks and are left out"
        found = replace(found, limit="; ".join(filter(None, [found.limit, said])))
    return found


def _workers(found: Scalability, most_workers: int) -> Interval:
    measured = found.measured.set_index("replicas")["tiles_per_s"]
    most = int(measured.index.max())
    most = min(most, most_workers) if most_workers else most
    allowed = measured[measured.index <= most]
    if found.law is not None and (found.law.misfit_p >= MISFIT or allowed.empty):
        return found.law.enough(most)
    if found.law is None or allowed.empty:
        best = float(measured.index[int(measured.to_numpy().argmax())])
        return Interval(best, best, best)
    # the curve does not describe the steps: the fewest among the counts that were measured
    near = allowed[allowed >= NEAR_THE_PEAK * allowed.max()]
    return Interval(float(near.index.min()), float(near.index.min()), float(near.index.max()))


def _at_work(recording: Recording, points: pd.DataFrame, workers: Interval | None) -> Recording:
    """
    Of a sweep the steps nearest to the number in question: what holds back eight, one never sees.
    """
    if workers is None or recording.steps.empty:
        return recording
    own = recording.steps["step"].isin(_nearest(points, workers.value)["step"])
    return replace(recording, steps=recording.steps[own])


def _counts(found: Scalability, chosen: int) -> list[int]:
    measured = {int(n) for n in found.measured["replicas"]}
    return sorted(measured | {chosen}) if found.law is not None else [chosen]


def _nearest(points: pd.DataFrame, workers: float) -> pd.DataFrame:
    """
    The steps with the number of workers that lies nearest; of two the higher, where the curve is
    flat.
    """
    nearest = min(points["replicas"], key=lambda count: (abs(count - workers), -count))
    same: pd.DataFrame = points[points["replicas"] == nearest]
    return same
