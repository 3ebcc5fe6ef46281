"""
CPU credits of T2 instances in standard mode: how long a burst lasts, and the rate after it.

One credit is one vCPU-minute. An instance earns credits at a fixed rate and spends them with every
cycle; launch credits are spent first, and do not count against the most that can be saved. Source:
AWS, "Standard mode concepts for burstable performance instances" and "Key concepts for burstable
performance instances". AWS throttles an instance gradually when its balance runs out; here it is
immediate.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from runbook_lib.core.errors import ParameterError


@dataclass(frozen=True)
class CreditPlan:
    """
    The credits that an instance type earns and can save, and its size.
    """

    vcpus: int
    credits_per_h: float
    most_saved: float
    launch_credits: float
    memory_gib: float


PLANS = {
    "t2.nano": CreditPlan(1, 3, 72, 30, 0.5),
    "t2.micro": CreditPlan(1, 6, 144, 30, 1),
    "t2.small": CreditPlan(1, 12, 288, 30, 2),
    "t2.medium": CreditPlan(2, 24, 576, 60, 4),
    "t2.large": CreditPlan(2, 36, 864, 60, 8),
}
"""Source: the credit table of "Key concepts for burstable performance instances" (AWS)."""


def get_plan(instance_type: str) -> CreditPlan:
    """
    Return the plan of an instance type. Raises ParameterError if it is not a T2 type.
    """
    if instance_type not in PLANS:
        raise ParameterError(
            f"expected an instance type whose CPU credits are known; {instance_type!r} is not",
            evidence=f"known: {', '.join(PLANS)}",
            next_step="name one of these; other families have no credits, or bill extra ones",
        )
    return PLANS[instance_type]


def simulate_credits(plan: CreditPlan, wanted_vcpus: "pd.Series[float]") -> pd.DataFrame:
    """
    Follow the CPU use of a fresh instance over time; columns: time, wanted_vcpus, used_vcpus,
    launch_credits, saved_credits, credits, throttled.

    Parameters
    ----------
    wanted_vcpus
        Indexed by time: at least two values, at increasing times, within the available vCPUs; each
        applies until the next, the last as long as the one before it.
    """
    launch, saved = plan.launch_credits, 0.0
    rows = []
    minutes = _minutes(plan, wanted_vcpus).tolist()
    uses = wanted_vcpus.to_numpy(dtype=float).tolist()
    for time, wanted, span in zip(wanted_vcpus.index, uses, minutes, strict=True):
        earned = plan.credits_per_h / 60 * span
        spent = min(wanted * span, launch + saved + earned)
        got = spent / span
        throttled = got < wanted * (1 - 1e-9)
        rows.append((time, wanted, got, launch, saved, launch + saved, throttled))
        of_launch = min(launch, spent)
        launch -= of_launch
        saved = min(plan.most_saved, max(0.0, saved + earned - (spent - of_launch)))
    columns = ["time", "wanted_vcpus", "used_vcpus", "launch_credits", "saved_credits"]
    return pd.DataFrame(rows, columns=[*columns, "credits", "throttled"])


def _minutes(plan: CreditPlan, wanted: "pd.Series[float]") -> npt.NDArray[np.float64]:
    problems = []
    index = pd.DatetimeIndex(wanted.index)
    spans = np.diff(index.to_numpy()) / np.timedelta64(1, "m")
    if len(wanted) < 2:
        problems.append(f"{len(wanted)} samples; two are needed to know how long one lasts")
    elif not (spans > 0).all():
        at = index[int(np.argmin(spans)) + 1]
        problems.append(f"the times do not grow at {at:%Y-%m-%d %H:%M:%S}")
    values = wanted.to_numpy(dtype=float)
    if not ((values >= 0) & (values <= plan.vcpus * 1.05)).all():
        problems.append(f"CPU use from {values.min():g} to {values.max():g} of {plan.vcpus} vCPU")
    if problems:
        raise ParameterError(
            f"expected the vCPUs in use, 0 to {plan.vcpus}, over growing times",
            evidence="\n".join(problems),
            next_step="give the CPU of one node, in vCPUs (100 % of `docker stats` is 1)",
        )
    return np.append(spans, spans[-1])


@dataclass(frozen=True)
class Burst:
    """
    The duration of a measured rate with CPU credits.

    `slowest` is the node that runs out first; `sustained_share` is the share of the rate after it.
    """

    hours: float
    slowest: str
    sustained_share: float

    def hours_for(self, tiles: float, tiles_per_s: float) -> float:
        first = 3600 * tiles_per_s * self.hours
        if tiles <= first:
            return tiles / (3600 * tiles_per_s)
        return self.hours + (tiles - first) / (3600 * tiles_per_s * self.sustained_share)

    def __repr__(self) -> str:
        if np.isinf(self.hours):
            return "the CPU use is below the baseline on every node, so the rate lasts"
        return (
            f"full speed for {self.hours:.1f} h, until {self.slowest} has spent its credits; "
            f"then {self.sustained_share:.0%} of the speed"
        )


def burst(plan: CreditPlan, vcpus_by_node: Mapping[str, float]) -> Burst:
    """
    Compute how long new nodes keep the measured rate, and the share that remains afterwards.

    Assumes that one slow node slows all, as the tiles pass through the manager and are spread
    evenly over the workers, and that a node's work is proportional to its CPU use. When the first
    node is throttled, the use of the others falls as well, and nodes below their baseline never run
    out: so the remaining share is that of the node with the highest use.
    """
    wrong = {n: u for n, u in vcpus_by_node.items() if not 0 <= u <= plan.vcpus * 1.05}
    if wrong or not vcpus_by_node:
        raise ParameterError(
            f"expected the mean vCPUs in use of each node, 0 to {plan.vcpus}",
            evidence="\n".join(f"{n}: {u:g}" for n, u in wrong.items()) or "there is no node",
            next_step="take them from the steady state of a recorded run",
        )
    slowest = max(vcpus_by_node, key=lambda node: vcpus_by_node[node])
    use = vcpus_by_node[slowest]
    spent_per_h = 60 * use
    if spent_per_h <= plan.credits_per_h:
        return Burst(np.inf, slowest, 1.0)
    launch_h = plan.launch_credits / spent_per_h
    saved = min(plan.most_saved, plan.credits_per_h * launch_h)
    hours = launch_h + saved / (spent_per_h - plan.credits_per_h)
    return Burst(hours, slowest, plan.credits_per_h / 60 / use)
