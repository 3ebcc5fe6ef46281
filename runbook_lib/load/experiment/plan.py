"""
The plan of a load test, checked before any change: steps, time, and tiles.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from runbook_lib.core.errors import ParameterError

CHANGE_S = 20.0
"""Allowance for reaching another replica count."""
AROUND_S = 90.0
"""Allowance for switching the stack, and for restoring it."""
FEWEST_SAMPLES = 42
"""Readings per step: those that `find_steady_state` needs, and one at either end."""
TILES_PER_WORKER_S = 1000
"""Far more than one CPU can process, so that the tiles do not run out."""


@dataclass(frozen=True)
class SweepStep:
    """
    One period of a sweep at one replica count.
    """

    number: int
    repetition: int
    replicas: int


@dataclass(frozen=True)
class Experiment:
    """
    The parameters of one load test; the names are those of the notebook.
    """

    wait_s: float
    batch: int
    qty_task: int
    refresh_rate_s: int
    min_scale: int
    max_scale: int
    replicas: tuple[int, ...]
    repetitions: int
    step_s: float
    limit_s: float
    sample_period_s: float
    worker_cpus: float
    seed: int

    @property
    def held(self) -> bool:
        """
        Whether the sweep sets the replica count, and the autoscaler only records.
        """
        return bool(self.replicas)

    @property
    def planned_s(self) -> float:
        """
        The time from the switch until everything is restored.
        """
        steps = self.repetitions * max(1, len(self.replicas))
        return AROUND_S + steps * (self.step_s + self.held * CHANGE_S)

    @property
    def most_tiles(self) -> int:
        """
        The most tiles that can be dealt in that time, limited by the dealer or by the workers.
        """
        workers = max(self.replicas) if self.held else self.max_scale
        per_s = min(self.batch / self.wait_s, TILES_PER_WORKER_S * workers)
        return math.ceil(per_s * self.planned_s) + self.batch

    @property
    def variables(self) -> dict[str, object]:
        """
        The variables of the work stack's services.
        """
        return {
            "BATCH": self.batch,
            "WAIT": self.wait_s,
            "QTY_TASK": self.qty_task,
            "REFRESH_RATE": self.refresh_rate_s,
            "MIN_SCALE": self.min_scale,
            "MAX_SCALE": self.max_scale,
            # the dealer's limit: low in a sweep, so that all steps have the same queue
            "MAX_QUEUED": max(2000, 5 * self.batch) if self.held else 20_000,
            "HOLD": "yes" if self.held else "no",
        }

    def steps(self) -> list[SweepStep]:
        """
        Return the steps of the sweep in order: each repetition has every count once, shuffled.

        So a drift of the machines affects all counts equally. The same seed gives the same order.
        """
        order = random.Random(self.seed)  # noqa: S311 - an order that can be repeated, no secret
        steps: list[SweepStep] = []
        for repetition in range(self.repetitions):
            counts = list(self.replicas)
            order.shuffle(counts)
            steps += [SweepStep(len(steps) + n, repetition, c) for n, c in enumerate(counts)]
        return steps


@dataclass(frozen=True)
class Observation:
    """
    A recording of a stack as it is, whatever it does in that time.
    """

    record_s: float
    sample_period_s: float


def plan(parameters: Mapping[str, Any]) -> Experiment:
    """
    Build the experiment from the notebook's parameters: `plan(globals())`.

    Raises ParameterError with all parameters that contradict each other.
    """
    values = {field.name: parameters[field.name] for field in fields(Experiment)}
    counts = tuple(int(count) for count in values["replicas"])
    experiment = Experiment(**values | {"replicas": counts})
    e = experiment
    problems = []
    if len(set(counts)) < len(counts):
        problems += [f"replicas {list(counts)} names a count twice; use repetitions"]
    if e.min_scale > e.max_scale:
        problems += [f"min_scale {e.min_scale} is above {e.max_scale}"]
    if e.planned_s > e.limit_s:
        problems += [f"limit_s {e.limit_s:g} is less than the {e.planned_s:g} s planned"]
    if e.held and e.step_s < FEWEST_SAMPLES * e.sample_period_s:
        short = f"step_s {e.step_s:g} is too short to find the warm-up"
        problems += [f"{short}: {FEWEST_SAMPLES} samples are needed"]
    if problems:
        raise ParameterError(
            "expected parameters that agree with each other",
            evidence="\n".join(problems),
            next_step="correct the parameters; nothing was touched",
        )
    return experiment


def sweep_table(experiment: Experiment) -> pd.DataFrame:
    """
    Tabulate the steps; columns: step, repetition, replicas ("autoscaled" where it decides),
    seconds.
    """
    rows = [(s.number, s.repetition, str(s.replicas)) for s in experiment.steps()]
    if not experiment.held:
        rows = [(0, 0, f"autoscaled {experiment.min_scale}..{experiment.max_scale}")]
    table = pd.DataFrame(rows, columns=["step", "repetition", "replicas"])
    whole = experiment.step_s * (1 if experiment.held else experiment.repetitions)
    return table.assign(seconds=whole)
