"""
What holds a run back: each resource against its limit in the steady state, and who falls behind.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from runbook_lib.core.errors import NotFoundError
from runbook_lib.load.analysis.utilisation import queue_growth, steady, utilisation
from runbook_lib.load.recordings.schema import Recording

NEARLY_ALL = 0.85
"""Of a limit: a container that is held back by its limit shows little less than all of it."""

QUEUES = {"TASK_QUEUE": "workers", "RESULT_QUEUE": "updater"}
"""Who takes from it."""

SIDES = {
    "workers": {"worker", "rabbitmq"},
    "updater": {"updater", "rabbitmq"},
    "dealer": {"dealer", "rabbitmq"},
}
"""Who can be the reason when one side falls behind; the broker carries all."""


@dataclass(frozen=True)
class Bottleneck:
    """
    `resource` is "" where none that was recorded is used up; `words` say what and how surely.

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
    window: tuple[pd.Timestamp, pd.Timestamp] | None = None,
) -> Bottleneck:
    """
    Name the resource that holds a run back, with the evidence.

    Parameters
    ----------
    cpu_limits
        CPUs of a container by service, as `cpu_limits_of` reads them.
    vcpus, memory_bytes
        Of a node.
    window
        The steady state; None: the steps' own, else the time in which the containers were at work.

    Raises
    ------
    NotFoundError
        No container was sampled in it.
    """
    stats, queues = steady(recording.stats, recording, window), recording.queues
    if stats.empty:
        raise NotFoundError(
            f"expected samples of containers in the steady state of {recording.source}; "
            "there are none",
            evidence="\n".join(recording.notes),
            next_step="name a recording with stats.parquet, or run 10_load_test for longer",
        )
    table = utilisation(stats, cpu_limits, vcpus=vcpus, memory_bytes=memory_bytes)
    growth = queue_growth(steady(queues, recording, window))
    return _verdict(table, growth)


def _verdict(table: pd.DataFrame, queues: pd.DataFrame) -> Bottleneck:
    side, why = _side(queues)
    asked = table
    if side:
        services = SIDES[side]
        nodes = table["kind"].str.startswith("node")
        asked = table[nodes | table["of"].isin(services)]
    asked = asked.dropna(subset="utilisation")
    top = asked.iloc[0]
    span = (
        f"{top['utilisation']:.0%} of its {'memory' if 'memory' in top['kind'] else 'CPU'}"
        f" (95 %: {top['low']:.0%} to {top['high']:.0%})"
        if np.isfinite(top["low"])
        else f"{top['utilisation']:.0%} in {top['samples']} samples, too few for an interval"
    )
    used_up = top["utilisation"] >= NEARLY_ALL
    if used_up:
        rivals = asked.iloc[1:]
        near = rivals[(rivals["high"] >= top["low"]) & (rivals["utilisation"] >= NEARLY_ALL)]
        sure = (
            f"; {', '.join(near['resource'])} are as near, and this cannot tell them apart"
            if len(near)
            else "; no other is within its interval"
        )
        return Bottleneck(
            top["resource"],
            f"{top['resource']} is the bottleneck: {span}{sure}. {why}",
            table,
            queues,
        )
    pace = " The dealer's BATCH and WAIT set the pace." if side == "dealer" else ""
    words = (
        f"No resource that was recorded is used up; the nearest is {top['resource']}: {span}. "
        f"{why}{pace}"
    )
    return Bottleneck("", words, table, queues)


def _side(queues: pd.DataFrame) -> tuple[str, str]:
    """
    Who falls behind, as the queues have it: "" where they do not tell.
    """
    if queues.empty:
        return "", "No queue was recorded, so nothing tells who falls behind."
    by_name: dict[str, dict[Any, Any]] = {
        str(row["queue"]): row for row in queues.to_dict("records")
    }
    for queue in ("RESULT_QUEUE", "TASK_QUEUE"):
        if queue in by_name and by_name[queue]["low"] > 0:
            row = by_name[queue]
            return QUEUES[queue], (
                f"{queue} grows by {row['growth_per_s']:.2g} messages a second (95 %: "
                f"{row['low']:.2g} to {row['high']:.2g}), so the {QUEUES[queue]} cannot keep up."
            )
    if "TASK_QUEUE" not in by_name:
        return "", "TASK_QUEUE was not recorded, so nothing tells whether tasks waited."
    row = by_name["TASK_QUEUE"]
    if row["empty"] >= 0.5:
        return "dealer", (
            f"TASK_QUEUE is empty in {row['empty']:.0%} of the samples: the workers wait for tasks."
        )
    return "workers", (
        f"Tasks wait ({row['ready']:.0f} in the middle, none in {row['empty']:.0%} of the "
        "samples): more would be done if the workers did more."
    )
