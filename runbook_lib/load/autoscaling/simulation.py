"""
The autoscaler on paper: the policy that admin-worker runs, against a load, second by second.

The policy, and the sliding rate through which it sees the broker's counter, are the services' own
code. What is a model: the broker shows its counter every five seconds, a worker takes a while to
come up, and so many workers do so many tiles a second as was measured, whatever the tile.
"""

from collections import deque
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.load.autoscaling.policy import service_module
from runbook_lib.load.recordings.schema import Recording

LONGEST_S = 12 * 3600


def policy() -> Any:  # noqa: ANN401 - a module of the services, loaded from their sources
    """
    The services' module `policy`.
    """
    return service_module("policy")


@dataclass(frozen=True)
class Setting:
    """
    What can be tried: the parameters of 06_work_stack, and the lights.
    """

    qty_task: float = 50
    refresh_rate_s: int = 5
    min_scale: int = 4
    max_scale: int = 8
    batch: int = 300
    wait_s: float = 2.0
    grey: float = 0.2
    green: float = 0.5
    yellow: float = 0.7
    min_batch: int = 50
    batch_step: int = 50

    def problems(self) -> list[str]:
        """
        What is wrong with it, all at once.
        """
        found = [] if 1 <= self.min_scale <= self.max_scale else ["1 <= min_scale <= max_scale"]
        found += [] if 0 < self.grey < self.green < self.yellow else ["0 < grey < green < yellow"]
        found += [] if self.qty_task > 0 else ["qty_task > 0"]
        found += (
            []
            if self.refresh_rate_s >= 1 and self.refresh_rate_s % 1 == 0
            else ["refresh_rate_s a whole number from 1"]
        )
        found += [] if self.batch >= 1 and self.wait_s > 0 else ["batch >= 1 and wait_s > 0"]
        return found


@dataclass(frozen=True)
class Load:
    """
    What is published: `tasks` by a dealer with the setting's BATCH and WAIT, or `per_s`, a recorded
    rate for every second, which no setting changes.
    """

    tasks: int = 0
    per_s: tuple[float, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class Workers:
    """
    What so many replicas do: `tiles_per_s[n]` of n, from 0 up to the most that can be tried, and
    the seconds until a new one takes tasks.
    """

    tiles_per_s: tuple[float, ...]
    start_up_s: int = 10


@dataclass(frozen=True)
class Simulation:
    """
    `timeline`, a row a second: second, published, waiting, done, running, wanted, batch;
    `decisions`: second, published_per_s, load, light, running, wanted.
    """

    setting: Setting
    timeline: pd.DataFrame
    decisions: pd.DataFrame
    finished: bool


def recorded_load(recording: Recording) -> Load:
    """
    The rate that the autoscaler saw, held from each decision to the next. It was a mean over some
    seconds already, so the peaks of a load are lower than they were.

    Raises
    ------
    NotFoundError
        No decision has a rate.
    """
    rates = recording.autoscaler.dropna(subset="published_per_s").set_index("time")
    if len(rates) < 2:
        raise NotFoundError(
            f"expected the published rate over time in {recording.source}; it has none",
            next_step="name a recording with autoscaler.parquet, or give Load(tasks=...)",
        )
    each = rates["published_per_s"].sort_index().resample("1s").mean().ffill()
    return Load(per_s=tuple(each.tolist()), name=recording.source)


def simulate(setting: Setting, load: Load, workers: Workers) -> Simulation:
    """
    Let the load pass, until all is done, for 12 hours at most.

    Raises
    ------
    ParameterError
        A setting, a load or a rate that cannot be.
    """
    _refuse(setting, load, workers)
    rules = policy().Rules(**{f.name: getattr(setting, f.name) for f in fields(policy().Rules)})
    return _Run(setting, load, workers, rules).go()


class _Run:
    """
    The state of one simulation.
    """

    def __init__(self, setting: Setting, load: Load, workers: Workers, rules: Any) -> None:  # noqa: ANN401
        rates = service_module("queue_rates")
        self.sampled_s = int(rates.SAMPLED_S)
        self.rate = rates.SlidingRate(max(rates.WINDOW_S, setting.refresh_rate_s))
        self.setting, self.load, self.workers, self.rules = setting, load, workers, rules
        self.wanted = self.running = setting.min_scale
        self.coming: deque[int] = deque()
        self.batch, self.greys = setting.batch, 0
        self.published = self.shown = 0.0
        self.waiting = self.next_deal_s = 0.0
        self.left = load.tasks

    def go(self) -> Simulation:
        seconds, decisions = [], []
        second, finished = 0, False
        while second < LONGEST_S and not finished:
            arrived = self._arrive(second)
            while self.coming and self.coming[0] <= second:
                self.coming.popleft()
                self.running += 1
            done = min(self.waiting, self.workers.tiles_per_s[self.running])
            self.waiting -= done
            if second % self.sampled_s == 0:
                self.shown = self.published
            if second % self.setting.refresh_rate_s == 0:
                decisions += self._decide(second)
            seconds.append(
                (second, arrived, self.waiting, done, self.running, self.wanted, self.batch)
            )
            second += 1
            ended = self.left <= 0 if not self.load.per_s else second >= len(self.load.per_s)
            finished = ended and self.waiting <= 0
        columns = ["second", "published", "waiting", "done", "running", "wanted", "batch"]
        told = ["second", "published_per_s", "load", "light", "running", "wanted"]
        return Simulation(
            self.setting,
            pd.DataFrame(seconds, columns=columns),
            pd.DataFrame(decisions, columns=told),
            finished,
        )

    def _arrive(self, second: int) -> float:
        if self.load.per_s:
            arrived = self.load.per_s[second] if second < len(self.load.per_s) else 0.0
        else:
            arrived = 0
            while self.next_deal_s <= second and self.left > 0:
                dealt = min(self.batch, self.left)
                arrived, self.left = arrived + dealt, self.left - dealt
                self.next_deal_s += self.setting.wait_s
        self.published += arrived
        self.waiting += arrived
        return arrived

    def _decide(self, second: int) -> list[tuple[Any, ...]]:
        per_s = self.rate.add(self.shown, float(second))
        if per_s is None:
            return []
        seen = policy().Seen(per_s, self.running, self.wanted, self.batch, self.greys)
        decision = policy().decide(self.rules, seen)
        self.batch, self.greys = decision.batch, decision.greys
        self._scale(decision.replicas, second)
        light = str(decision.light)
        return [(second, per_s, decision.load, light, seen.running, decision.replicas)]

    def _scale(self, replicas: int, second: int) -> None:
        more = replicas - self.wanted
        self.wanted = replicas
        self.coming.extend([second + self.workers.start_up_s] * max(0, more))
        for _ in range(-more):
            if self.coming:  # Swarm gives up first what does not run yet
                self.coming.pop()
            else:
                self.running -= 1


def _refuse(setting: Setting, load: Load, workers: Workers) -> None:
    problems = [f"the setting breaks {rule}" for rule in setting.problems()]
    if bool(load.tasks > 0) == bool(load.per_s):
        problems.append("a load has either tasks or a rate for every second")
    if any(not (np.isfinite(rate) and rate >= 0) for rate in load.per_s):
        problems.append("a rate of the load is negative or not measured")
    if len(workers.tiles_per_s) <= setting.max_scale:
        known = len(workers.tiles_per_s) - 1
        problems.append(
            f"the throughput is known up to {known} workers, max_scale is {setting.max_scale}"
        )
    elif min(workers.tiles_per_s[1:], default=0) <= 0:
        problems.append("workers that do nothing never finish")
    if workers.start_up_s < 0:
        problems.append("start_up_s is negative")
    if problems:
        raise ParameterError(
            "expected a setting, a load and workers that can be",
            evidence="\n".join(problems),
            next_step="correct them; the parameters are those of 06_work_stack",
        )
