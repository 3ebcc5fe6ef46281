"""
A simulation of the autoscaler: admin-worker's policy against a load, second by second.

The policy, and the sliding rate of the broker's counter, are the services' own code. The rest is a
model: the broker updates its counter every five seconds, a worker takes a while to start, and a
number of workers has its measured throughput for every tile.
"""

from collections import deque
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.geodiff.service_modules import service_module
from runbook_lib.load.recordings.schema import Recording

LONGEST_S = 12 * 3600
TIMELINE = ["second", "published", "waiting", "done", "running", "wanted", "batch", "not_dealt"]
DECISIONS = ["second", "published_per_s", "load", "light", "running", "wanted"]


@dataclass(frozen=True)
class AutoscalerSetting:
    """
    The parameters of 06_work_stack that can be simulated, and the lights.
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
        Return the rules that the setting breaks.
        """
        rules = {
            "1 <= min_scale <= max_scale": 1 <= self.min_scale <= self.max_scale,
            "0 < grey < green < yellow": 0 < self.grey < self.green < self.yellow,
            "qty_task > 0": self.qty_task > 0,
            "refresh_rate_s a whole number from 1": self.refresh_rate_s % 1
            == 0
            < self.refresh_rate_s,
            "batch >= 1 and wait_s > 0": self.batch >= 1 and self.wait_s > 0,
        }
        return [rule for rule, kept in rules.items() if not kept]


@dataclass(frozen=True)
class OfferedLoad:
    """
    The published tasks: `tasks` by a dealer with the setting's BATCH and WAIT, or `per_s`, a
    recorded rate for every second, independent of the setting.
    """

    tasks: int = 0
    per_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Workers:
    """
    The throughput of replicas: `tiles_per_s[n]` for n from 0 to the highest number to simulate,
    and the seconds until a new one takes tasks.
    """

    tiles_per_s: tuple[float, ...]
    start_up_s: int = 10


@dataclass(frozen=True)
class Simulation:
    """
    The result of a simulation; `timeline` has one row per second. `least_tile_hours` is what the
    tasks of a dealer wait at least, dealt or not: all of them are there from the start.
    """

    timeline: pd.DataFrame
    decisions: pd.DataFrame
    finished: bool
    least_tile_hours: float = 0.0


def recorded_load(recording: Recording) -> OfferedLoad:
    """
    Return the rate seen by the autoscaler, constant from each decision to the next. It is a mean
    over some seconds, so peaks are lower than in the load. Raises NotFoundError without a rate.
    """
    rates = recording.autoscaler.dropna(subset="published_per_s").set_index("time")
    if len(rates) < 2:
        raise NotFoundError(
            f"expected the published rate over time in {recording.source}; it has none",
            next_step="name a recording with autoscaler.parquet, or give OfferedLoad(tasks=...)",
        )
    each = rates["published_per_s"].sort_index().resample("1s").mean().ffill()
    return OfferedLoad(per_s=tuple(each.tolist()))


def simulate_autoscaler(
    setting: AutoscalerSetting, load: OfferedLoad, workers: Workers
) -> Simulation:
    """
    Run the load to its end, for at most 12 hours. Raises ParameterError for an impossible setting,
    load or rate.
    """
    problems = [f"the setting breaks {rule}" for rule in setting.problems()]
    if bool(load.tasks > 0) == bool(load.per_s):
        problems.append("a load has either tasks or a rate for every second")
    if any(not (np.isfinite(rate) and rate >= 0) for rate in load.per_s):
        problems.append("a rate of the load is negative or not measured")
    if len(workers.tiles_per_s) <= setting.max_scale:
        known = len(workers.tiles_per_s) - 1
        problems.append(f"throughput known up to {known} workers, max_scale {setting.max_scale}")
    elif min(workers.tiles_per_s[1:], default=0) <= 0:
        problems.append("workers without throughput never finish")
    if workers.start_up_s < 0:
        problems.append("start_up_s is negative")
    if problems:
        raise ParameterError(
            "expected a setting, a load and workers that are possible",
            evidence="\n".join(problems),
            next_step="correct them; the parameters are those of 06_work_stack",
        )
    return _Run(setting, load, workers).go()


class _Run:
    def __init__(self, setting: AutoscalerSetting, load: OfferedLoad, workers: Workers) -> None:
        self.policy = service_module("policy")
        names = [field.name for field in fields(self.policy.Rules)]
        self.rules = self.policy.Rules(**{name: getattr(setting, name) for name in names})
        rates = service_module("queue_rates")
        self.sampled_s = int(rates.SAMPLED_S)
        self.rate = rates.SlidingRate(max(rates.WINDOW_S, setting.refresh_rate_s))
        self.setting, self.load, self.workers = setting, load, workers
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
            state = (self.running, self.wanted, self.batch, self.left)
            seconds.append((second, arrived, self.waiting, done, *state))
            second += 1
            ended = self.left <= 0 if not self.load.per_s else second >= len(self.load.per_s)
            finished = ended and self.waiting <= 0
        timeline = pd.DataFrame(seconds, columns=TIMELINE)
        least = self.load.tasks**2 / (2 * max(self.workers.tiles_per_s)) / 3600
        return Simulation(timeline, pd.DataFrame(decisions, columns=DECISIONS), finished, least)

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
        seen = self.policy.Seen(per_s, self.running, self.wanted, self.batch, self.greys)
        decision = self.policy.decide(self.rules, seen)
        self.batch, self.greys = decision.batch, decision.greys
        more = decision.replicas - self.wanted
        self.wanted = decision.replicas
        self.coming.extend([second + self.workers.start_up_s] * max(0, more))
        for _ in range(-more):
            if self.coming:  # Swarm first removes tasks that are not running yet
                self.coming.pop()
            else:
                self.running -= 1
        light = str(decision.light)
        return [(second, per_s, decision.load, light, seen.running, decision.replicas)]
