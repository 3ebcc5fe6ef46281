"""
The best setting of the autoscaler for the user's bounds and prices: all of them are simulated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from runbook_lib.core.errors import ParameterError
from runbook_lib.load.autoscaling.simulation import (
    AutoscalerSetting,
    OfferedLoad,
    Simulation,
    Workers,
    simulate_autoscaler,
)

MOST_SETTINGS = 5000


@dataclass(frozen=True)
class Objective:
    """
    The prices of nodes, waiting tiles and turns; the best setting has the lowest sum.

    The count of nodes assumes that those without a worker are stopped. Swarm spreads the workers,
    so there are none unless workers are fewer than nodes; see `run_costs`.
    """

    usd_per_node_hour: float = 0.0116
    worker_nodes: int = 4
    usd_per_waiting_tile_hour: float = 0.0001
    usd_per_turn: float = 0.001

    def __repr__(self) -> str:
        return (
            f"{self.usd_per_node_hour:.3g} USD an hour of each of {self.worker_nodes} nodes with a "
            f"worker + {self.usd_per_waiting_tile_hour:g} USD for each hour that a tile waits, "
            "dealt or not, longer than with all workers from the start + "
            f"{self.usd_per_turn:g} USD for each turn from more to fewer workers, or back"
        )


def figures(run: Simulation, objective: Objective) -> dict[str, float]:
    """
    Return hours, mean_waiting, seconds_in_queue, replica_hours, node_hours, turns_per_h, score_usd.

    Waiting and seconds are those in the queue; the score also counts the tasks that are not dealt
    yet, or the best setting would be the one that deals slowly.
    """
    table = run.timeline
    hours = len(table) / 3600
    waiting_h = float(table["waiting"].sum()) / 3600
    undone_h = waiting_h + float(table["not_dealt"].sum()) / 3600
    nodes = np.minimum(table["running"], objective.worker_nodes)
    turned = turns(table["wanted"].to_numpy())
    node_hours = float(nodes.sum()) / 3600
    score = (
        objective.usd_per_node_hour * node_hours
        + objective.usd_per_waiting_tile_hour * max(0.0, undone_h - run.least_tile_hours)
        + objective.usd_per_turn * turned
    )
    return {
        "hours": hours,
        "mean_waiting": waiting_h / hours,
        "seconds_in_queue": 3600 * waiting_h / max(1.0, float(table["done"].sum())),
        "replica_hours": float(table["running"].sum()) / 3600,
        "node_hours": node_hours,
        "turns_per_h": turned / hours,
        "score_usd": score if run.finished else np.inf,
    }


def turns(wanted: "np.ndarray[Any, Any]") -> int:
    """
    Count how often the number of replicas turned from growing to shrinking, or back (flapping).
    """
    steps = np.sign(np.diff(wanted.astype(float)))
    moves = steps[steps != 0]
    return int((moves[1:] != moves[:-1]).sum())


def search_settings(
    load: OfferedLoad,
    workers: Workers,
    choices: Mapping[str, Sequence[float]],
    *,
    base: AutoscalerSetting,
    objective: Objective,
) -> pd.DataFrame:
    """
    Simulate every combination of the choices, and `base` itself; return one row per setting, the
    best first, with its parameters and figures. Of settings that cost the same, the one that
    changes least of `base` is first.

    No heuristic is used: the parameters are a few integers, the score has steps and plateaus, and
    the table shows how close the runners-up are. Raises ParameterError for more than 5,000
    settings, no valid one, or an unknown parameter.
    """
    unknown = choices.keys() - asdict(base).keys()
    count = int(np.prod([len(values) for values in choices.values()]))
    if unknown or not 0 < count <= MOST_SETTINGS:
        raise ParameterError(
            f"expected choices for parameters of a setting, 1 to {MOST_SETTINGS} combinations; "
            f"got {count}",
            evidence=f"no parameter: {', '.join(sorted(unknown))}" if unknown else "",
            next_step=f"choose among {', '.join(asdict(base))}",
        )
    settings = [
        replace(base, **dict(zip(choices, values, strict=True)))  # type: ignore[arg-type]
        for values in product(*choices.values())
    ]
    possible = dict.fromkeys(s for s in settings if not s.problems())
    if possible and not base.problems() and base.max_scale < len(workers.tiles_per_s):
        possible[base] = None
    rows = []
    for setting in possible:
        run = simulate_autoscaler(setting, load, workers)
        changed = sum(value != asdict(base)[name] for name, value in asdict(setting).items())
        rows.append(asdict(setting) | figures(run, objective) | {"changed": changed})
    if not rows:
        raise ParameterError(
            "expected a possible combination; every one breaks a rule",
            evidence="; ".join(settings[-1].problems()),
            next_step="widen the choices",
        )
    table = pd.DataFrame(rows).sort_values(["score_usd", "changed"], kind="stable")
    return table.drop(columns="changed").reset_index(drop=True)
