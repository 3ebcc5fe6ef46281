"""
The bottleneck of a run: resources near their limits in the steady state, and growing queues.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from runbook_lib.core.charts import alt
from runbook_lib.core.errors import NotFoundError
from runbook_lib.core.findings import Finding
from runbook_lib.load.analysis.at_work import steady, within
from runbook_lib.load.analysis.overrun import unusable_spans
from runbook_lib.load.analysis.utilisation import queue_growth, utilisation
from runbook_lib.load.recordings.schema import Recording

NEARLY_ALL = 0.85
"""Share of a limit: a throttled container shows slightly less than its whole limit."""

OVER_A_LIMIT = 1.05
"""The kernel holds a container to its limit: a mean above it is the mean under another limit."""

QUEUES = {"RESULT_QUEUE": "updater", "TASK_QUEUE": "workers"}
"""The consumers of each queue, last stage first."""

SIDES = {
    "workers": {"worker", "rabbitmq"},
    "updater": {"updater", "rabbitmq"},
    "dealer": {"dealer", "rabbitmq"},
}
"""The services that can make one side fall behind; all use the broker."""


@dataclass(frozen=True)
class Bottleneck:
    """
    The verdict: `resource` is "" if no recorded resource is exhausted; `words` give the certainty.

    `utilisation`: resource, of, kind, used, limit, utilisation, low, high (95 %), samples; the
    highest first. `queues`: queue, ready (median), empty (share of samples), growth_per_s, low,
    high.
    """

    resource: str
    words: str
    utilisation: pd.DataFrame
    queues: pd.DataFrame

    def __repr__(self) -> str:
        return self.words


def find_bottleneck(
    recording: Recording,
    cpu_limits: dict[str, float],
    *,
    vcpus: float = 1.0,
    memory_bytes: float = 2**30,
) -> Bottleneck:
    """
    Name the resource that limits a run in its steady state, with the evidence. Raises
    NotFoundError if no container was sampled in it.

    Parameters
    ----------
    cpu_limits
        CPUs of a container by service, from `cpu_limits_of`.
    vcpus, memory_bytes
        Size of a node.
    """
    unusable = unusable_spans(recording.stats, vcpus)
    usable = recording.stats[~within(recording.stats["time"], unusable)]
    if len(usable):  # before the busiest minutes are looked for, as these read the most CPU
        recording = replace(recording, stats=usable)
    stats = steady(recording.stats, recording)
    if stats.empty:
        raise NotFoundError(
            f"expected samples of containers in the steady state of {recording.source}; "
            "there are none",
            evidence="\n".join(recording.notes),
            next_step="name a recording with stats.parquet, or run 10_load_test for longer",
        )
    table = utilisation(stats, cpu_limits, vcpus=vcpus, memory_bytes=memory_bytes)
    queues = queue_growth(steady(recording.queues, recording))
    over = (table["kind"] == "limit cpu") & (table["utilisation"] > OVER_A_LIMIT)
    other = table[over & ("cpu_limits" not in recording.experiment)]
    resource, words = _verdict(table.drop(other.index), *_side(queues))
    if unusable:
        words += (
            " Minutes in which a node had less CPU than its machine are left out."
            if len(usable)
            else " In every minute a node had less CPU than its machine: this holds for that only."
        )
    for row in other.to_dict("records"):
        words += (
            f" {row['of']} used {row['used']:.2f} CPUs, more than its limit of {row['limit']:g}: "
            "it was recorded with another limit than the stack file's."
        )
    return Bottleneck(resource, words, table.drop(other.index), queues)


def show_bottleneck(bottleneck: Bottleneck | None, *, limits_known: bool) -> Finding:
    """
    Show the eight resources nearest to their limits.
    """
    if bottleneck is None:
        return Finding("a container at work")
    table = bottleneck.utilisation.head(8)
    top = max(1.0, float(table[["utilisation", "high"]].max().max()))
    y = alt.Y("resource:N", title=None, sort=table["resource"].tolist())
    x = alt.X("utilisation:Q", title="of its limit, 95 % interval").axis(format="%")
    bars = alt.Chart(table).mark_bar(color="#1b7f79").encode(x=x.scale(domain=[0, top]), y=y)
    spans = alt.Chart(table).mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q", y=y)
    verdict = "is the bottleneck" if bottleneck.resource else "is nearest to its limit"
    title = f"{bottleneck.resource or table.iloc[0]['resource']} {verdict}"
    chart = alt.layer(bars, spans).properties(width=520, height=26 * len(table), title=title)
    unknown = "" if limits_known else " The CPU limits of these containers are not known."
    return Finding(bottleneck.words + unknown, chart)


def _verdict(table: pd.DataFrame, side: str, why: str) -> tuple[str, str]:
    if side:
        nodes = table["kind"].str.startswith("node")
        table = table[nodes | table["of"].isin(SIDES[side])]
    table = table.dropna(subset="utilisation")
    top = table.iloc[0]
    span = (
        f"{top['utilisation']:.0%} of its {'memory' if 'memory' in top['kind'] else 'CPU'}"
        f" (95 %: {top['low']:.0%} to {top['high']:.0%})"
        if np.isfinite(top["low"])
        else f"{top['utilisation']:.0%} in {top['samples']} samples, too few for an interval"
    )
    if top["utilisation"] < NEARLY_ALL:
        pace = " The dealer's BATCH and WAIT set the pace." if side == "dealer" else ""
        nearest = f"the nearest is {top['resource']}: {span}. {why}{pace}"
        return "", f"No recorded resource is used up; {nearest}"
    rivals = table.iloc[1:]
    near = rivals[(rivals["high"] >= top["low"]) & (rivals["utilisation"] >= NEARLY_ALL)]
    sure = "no other is within its interval"
    if len(near):
        sure = f"{', '.join(near['resource'])} are as near, and this cannot tell them apart"
    return top["resource"], f"{top['resource']} is the bottleneck: {span}; {sure}. {why}"


def _side(queues: pd.DataFrame) -> tuple[str, str]:
    """
    Derive from the queues which side falls behind; "" if that is not clear.
    """
    if queues.empty:
        return "", "No queue was recorded, so it is unknown which side falls behind."
    by_name: dict[Any, dict[Any, Any]] = queues.set_index("queue").to_dict("index")
    for queue, consumers in QUEUES.items():
        row = by_name.get(queue, {"low": 0})
        if row["low"] > 0:
            return consumers, (
                f"{queue} grows by {row['growth_per_s']:.2g} messages a second (95 %: "
                f"{row['low']:.2g} to {row['high']:.2g}), so the {consumers} cannot keep up."
            )
    if "TASK_QUEUE" not in by_name:
        return "", "TASK_QUEUE was not recorded, so it is unknown whether tasks waited."
    row = by_name["TASK_QUEUE"]
    if row["empty"] >= 0.5:
        return "dealer", (
            f"TASK_QUEUE is empty in {row['empty']:.0%} of the samples: the workers wait for tasks."
        )
    return "workers", (
        f"Tasks wait (median {row['ready']:.0f}, none in {row['empty']:.0%} of the samples), so "
        "the dealer does not set the pace."
    )
