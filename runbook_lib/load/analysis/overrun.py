"""
Minutes in which a node reads more CPU than its machine has: the host took the CPU away.

`docker stats` divides the CPU time of a container by the time that the kernel counts for itself.
What the hypervisor takes away (steal) is not in the divisor: a container that computes all the time
reads 400 % of one vCPU if the machine got a quarter of it. On T2 instances the usual reason is that
the CPU credits are spent; what is measured then is no property of the stack.
"""

from dataclasses import dataclass

import pandas as pd

from runbook_lib.core.findings import Finding
from runbook_lib.core.words import count_of
from runbook_lib.load.analysis.at_work import Spans, node_minutes, within
from runbook_lib.load.analysis.cpu_credits import CreditPlan, simulate_credits

OVER = 1.1
"""Of the vCPUs: the samples of a node's containers are up to a second apart."""
_MINUTE = pd.Timedelta("1min")
_APART = pd.Timedelta("3min")
"""Two such minutes this close are one stretch: what is between them was taken from as well."""
_EARLY = pd.Timedelta("10min")
"""The start of a recording is not the start of an instance: credits may end a little earlier."""


@dataclass(frozen=True)
class Overrun:
    """
    One node's stretch: `highest` is the mean of its worst minute, in vCPUs as read; `spent_at` is
    when a fresh instance with this node's CPU use has no credits left, None if it always has.
    """

    node: str
    began: pd.Timestamp
    ended: pd.Timestamp
    highest: float
    vcpus: float
    spent_at: pd.Timestamp | None

    @property
    def is_by_credits(self) -> bool:
        return self.spent_at is not None and self.spent_at <= self.began + _EARLY

    def __repr__(self) -> str:
        return (
            f"{self.node} reads up to {self.highest:.0%} CPU of {self.vcpus:g} vCPU from "
            f"{self.began:%H:%M} to {self.ended:%H:%M}: {self.why}"
        )

    @property
    def why(self) -> str:
        if self.spent_at is not None and self.is_by_credits:
            return (
                f"its CPU credits were spent (simulated from a fresh instance: at "
                f"{self.spent_at:%H:%M})"
            )
        return (
            "the host took the CPU away (steal), or the credits were spent before the recording: "
            "a fresh instance would have had some"
        )


def find_overruns(stats: pd.DataFrame, plan: CreditPlan) -> list[Overrun]:
    """
    Find the stretches of each node, in order of time, with what `simulate_credits` says of them.
    """
    return _overruns(node_minutes(stats), plan)


def _overruns(minutes: pd.DataFrame, plan: CreditPlan) -> list[Overrun]:
    overruns = []
    for node, part in _stretches(minutes, plan.vcpus):
        began, ended = part["time"].iloc[0], part["time"].iloc[-1] + _MINUTE
        highest = float(part["cpu_percent"].max()) / 100
        spent_at = _spent_at(minutes[minutes["node"] == node], plan)
        overruns.append(Overrun(node, began, ended, highest, plan.vcpus, spent_at))
    return sorted(overruns, key=lambda overrun: (overrun.began, overrun.node))


def unusable_spans(stats: pd.DataFrame, vcpus: float) -> Spans:
    """
    Return the times in which some node had less CPU than its machine: no evidence for a law.
    """
    stretches = _stretches(node_minutes(stats), vcpus)
    return [(part["time"].iloc[0], part["time"].iloc[-1] + _MINUTE) for _, part in stretches]


def _stretches(minutes: pd.DataFrame, vcpus: float) -> list[tuple[str, pd.DataFrame]]:
    over = minutes[minutes["cpu_percent"] > 100 * OVER * vcpus]
    return [
        (str(node), part)
        for node, own in over.groupby("node")
        for _, part in own.groupby((own["time"].diff() > _APART).cumsum())
    ]


def show_overruns(stats: pd.DataFrame, plan: CreditPlan) -> Finding:
    """
    Show the stretches, why the CPU was gone, and what the stack sent in them and otherwise; or the
    busiest minute of each node.
    """
    minutes = node_minutes(stats)
    overruns = _overruns(minutes, plan)
    if not overruns:
        return _busiest(minutes, plan)
    table = pd.DataFrame(
        {
            "node": [o.node for o in overruns],
            "from": [f"{o.began:%H:%M}" for o in overruns],
            "to": [f"{o.ended:%H:%M}" for o in overruns],
            "CPU as read": [f"{o.highest:.0%}" for o in overruns],
            "of": [count_of(int(plan.vcpus), "vCPU") for o in overruns],
            "the machine got about": [f"{plan.vcpus / o.highest:.0%}" for o in overruns],
            "why": [o.why for o in overruns],
        }
    )
    return Finding(f"{_sent(minutes, overruns)} These minutes are no evidence for the law.", table)


def _busiest(minutes: pd.DataFrame, plan: CreditPlan) -> Finding:
    if minutes.empty:
        return Finding("samples of containers")
    highest = minutes.sort_values("cpu_percent").groupby("node").tail(1).sort_values("node")
    table = pd.DataFrame(
        {
            "node": highest["node"],
            "busiest minute": highest["time"].dt.strftime("%H:%M"),
            "CPU as read": [f"{cpu:.0f}%" for cpu in highest["cpu_percent"]],
            "of": count_of(int(plan.vcpus), "vCPU"),
        }
    ).reset_index(drop=True)
    top = highest.iloc[int(highest["cpu_percent"].to_numpy().argmax())]
    words = (
        "No node reads more CPU than its machine has: the busiest minute is "
        f"{top['cpu_percent']:.0f}%, on {top['node']}."
    )
    return Finding(words, table)


def _spent_at(own: pd.DataFrame, plan: CreditPlan) -> pd.Timestamp | None:
    # a minute without samples is one without load
    used = own.set_index("time")["cpu_percent"].clip(0, 100 * plan.vcpus) / 100
    used = used[~used.index.duplicated()].asfreq("1min", fill_value=0.0)
    if len(used) < 2:
        return None
    run = simulate_credits(plan, used.fillna(0.0))
    short = run.loc[run["throttled"], "time"]
    return short.iloc[0] if len(short) else None


def _sent(minutes: pd.DataFrame, overruns: list[Overrun]) -> str:
    sent = minutes.groupby("time")["net_out_bytes_per_s"].sum() / 1e6
    then = within(sent.index.to_series(), [(o.began, o.ended - _MINUTE) for o in overruns])
    count = count_of(int(then.sum()), "minute")
    words = f"In {count} the containers read more CPU than their machine has"
    others = sent[~then]
    others = others[others > others.max() / 10]  # at work
    if others.empty or not sent[then].sum():
        return f"{words}."
    return (
        f"{words}; they sent {sent[then].mean():.2g} MB/s then, and {others.mean():.2g} MB/s in "
        f"the {count_of(len(others), 'other minute')} at work."
    )
