"""
The autoscaler's policy as a pure function: no I/O and no clock, so that a simulator can use it.

Section "admin-worker" of the guide (G12): LOAD is the tasks published a second over the capacity
of the running workers (replicas x QTY_TASK). Each range of LOAD has a light, each light a step.
"""

import math
from dataclasses import dataclass
from enum import StrEnum


class Light(StrEnum):
    GREY = "GREY"
    GREEN = "GREEN"
    YELLOW = "YELLOW"
    RED = "RED"


STEPS = {Light.GREY: 0, Light.GREEN: 0, Light.YELLOW: 1, Light.RED: 2}
GREYS_BEFORE_FEWER = 3


@dataclass(frozen=True)
class Rules:
    """
    The parameters. The light is the first whose bound is above LOAD; RED has none.
    """

    qty_task: float
    min_scale: int
    max_scale: int
    batch: int
    min_batch: int
    batch_step: int
    grey: float = 0.2
    green: float = 0.5
    yellow: float = 0.7


@dataclass(frozen=True)
class Seen:
    """
    The measurements since the last decision, and the state that decision left.
    """

    published_per_s: float
    running: int
    desired: int
    batch: int
    greys: int = 0


@dataclass(frozen=True)
class Decision:
    load: float
    light: Light
    replicas: int
    batch: int
    greys: int


def load_of(published_per_s: float, running: int, qty_task: float) -> float:
    """
    Return LOAD; infinite if tasks arrive and no worker runs.
    """
    if running <= 0:
        return math.inf if published_per_s > 0 else 0.0
    return published_per_s / (running * qty_task)


def light_of(load: float, rules: Rules) -> Light:
    bounds = {Light.GREY: rules.grey, Light.GREEN: rules.green, Light.YELLOW: rules.yellow}
    return next((light for light, bound in bounds.items() if load < bound), Light.RED)


def decide(rules: Rules, seen: Seen) -> Decision:
    """
    Return how many replicas and which BATCH there should be now.

    The third GREY in a row and each one after it removes a worker, as the authors' logs show.
    YELLOW or RED at MAX_SCALE lowers BATCH by a step. The guide does not say how BATCH rises again;
    without that the dealer would stay slow for ever, so each GREY raises it.
    """
    load = load_of(seen.published_per_s, seen.running, rules.qty_task)
    light = light_of(load, rules)
    greys = seen.greys + 1 if light is Light.GREY else 0
    step = -1 if greys >= GREYS_BEFORE_FEWER else STEPS[light]
    replicas = max(rules.min_scale, min(rules.max_scale, seen.desired + step))
    batch = seen.batch
    if step > 0 and seen.desired >= rules.max_scale:
        batch -= rules.batch_step
    elif light is Light.GREY:
        batch += rules.batch_step
    return Decision(load, light, replicas, max(rules.min_batch, min(rules.batch, batch)), greys)
