"""
The steps of a load test in sequence, recorded, within a time limit.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import docker
import numpy as np
import pandas as pd

from runbook_lib.core.errors import WaitTimeoutError
from runbook_lib.core.progress import Progress
from runbook_lib.load.experiment.plan import CHANGE_S, Experiment, SweepStep
from runbook_lib.load.experiment.recorder import Recorder
from runbook_lib.load.recordings.schema import COLUMNS
from runbook_lib.load.recordings.series import find_steady_state
from runbook_lib.stacks.running.convergence import convergence
from runbook_lib.stacks.running.specs import running, scale

_REACHED_S = 120.0
_POLL_S = 0.5


def even_rates(counted: list[tuple[float, float]], period_s: float) -> "pd.Series[float]":
    """
    Return a counter's rates, one per period, from polls that may be slightly early or late.
    """
    if len(counted) < 2:
        return pd.Series(dtype=float)
    polled, counts = np.array(counted).T
    times = np.arange(polled[0], polled[-1], period_s)
    rates = np.diff(np.interp(times, polled, counts)) / period_s
    return pd.Series(rates, index=pd.to_datetime(times[:-1], unit="s", utc=True))


class Sweep:
    def __init__(
        self, manager: docker.DockerClient, service: str, experiment: Experiment, recorder: Recorder
    ) -> None:
        self._manager, self._service = manager, service
        self._experiment, self._recorder = experiment, recorder
        self._steps = experiment.steps()
        self._deadline = time.monotonic() + experiment.limit_s
        self._rows: list[tuple[object, ...]] = []

    def run(self, missed: Callable[[Path], Sequence[str]] = lambda _: ()) -> pd.DataFrame:
        """
        Run every step, or as many as the time limit allows; return one row per step.

        `missed` is asked about the recording before each step but the first: if it names anything,
        the sweep ends there. Raises WaitTimeoutError if a replica count was not reached.
        """
        with Progress("Load recorded") as progress:
            for step in self._steps:
                if time.monotonic() >= self._deadline:
                    break
                began = datetime.now(UTC)
                scale(self._manager, self._service, step.replicas)
                self._reach(step, progress)
                # only now: services report every five seconds what they did in the step before
                self._recorder.flush()
                if self._rows and missed(self._recorder.folder):
                    break
                self._take(step, began, progress)
            if not self._experiment.held:
                whole_s = self._experiment.step_s * self._experiment.repetitions
                self._record(time.monotonic() + whole_s, progress, "autoscaled", 0)
        return pd.DataFrame(self._rows, columns=list(COLUMNS["steps"]))

    def _take(self, step: SweepStep, began: datetime, progress: Progress) -> None:
        reached = time.time()
        left = len(self._steps) - step.number - 1
        title = f"step {step.number + 1} of {len(self._steps)}: {step.replicas} replicas"
        try:
            self._record(time.monotonic() + self._experiment.step_s, progress, title, left)
        finally:  # an interrupted step is recorded, too
            counted = [pair for pair in self._recorder.done if pair[0] >= reached]
            ended = datetime.fromtimestamp(counted[-1][0], UTC) if counted else datetime.now(UTC)
            steady = find_steady_state(even_rates(counted, self._experiment.sample_period_s))
            since = steady.began if steady else None
            row = (step.number, step.repetition, step.replicas, began, since, ended)
            self._rows.append(row)
            self._recorder.add("steps", row)

    def _reach(self, step: SweepStep, progress: Progress) -> None:
        limit = time.monotonic() + _REACHED_S
        while True:
            state = convergence(self._manager, self._manager.services.get(self._service))
            count = running(self._manager, self._service)
            if state.running == count == step.replicas:
                return
            if time.monotonic() > limit:
                raise WaitTimeoutError(
                    f"expected {step.replicas} replicas of {self._service} within {_REACHED_S:g} s;"
                    f" {count} run",
                    evidence=state.reason,
                    next_step="choose counts that the nodes have room for; the stack was put back",
                )
            progress.update(f"{count} of {step.replicas} replicas run", count, step.replicas)
            time.sleep(_POLL_S)

    def _record(self, until: float, progress: Progress, title: str, left: int) -> None:
        began = time.monotonic()
        until = min(until, self._deadline)
        while (now := time.monotonic()) < until:
            left_s = until - now + left * (self._experiment.step_s + CHANGE_S)
            words = f"{title}, {self._rate():.0f} tiles/s, about {left_s:.0f} s left"
            progress.update(words, int(now - began), int(until - began))
            time.sleep(min(_POLL_S, until - now))

    def _rate(self) -> float:
        (first_s, first), *_, (last_s, last) = [(0.0, 0), (1.0, 0), *self._recorder.done][-6:]
        return (last - first) / (last_s - first_s)
