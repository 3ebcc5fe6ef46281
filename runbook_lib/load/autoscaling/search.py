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

    The count of nodes assumes that those without a worker are stopped; see `run_costs`.
    """

    usd_per_node_hour: float = 0.0116
    replicas_per_node: int = 2
    usd_per_waiting_tile_hour: float = 0.0001
    usd_per_turn: float = 0.001

    def __repr__(self) -> str:
        return (
            f"{self.usd_per_node_hour:g} USD a node-hour ({self.replicas_per_node} replicas a "
            f"node) + {self.usd_per_waiting_tile_hour:g} USD for each hour that a tile waits + "
            f"{self.usd_per_turn:g} USD for each turn from more to fewer workers, or back"
        )


def figures(run: Simulation, objective: Objective) -> dict[str, float]:
    """
    Return hours, mean_waiting, seconds_in_queue, replica_hours, node_hours, turns_per_h, score_usd.
    """
    table = run.timeline
    hours = len(table) / 3600
    waiting_h = float(table["waiting"].sum()) / 3600
    nodes = np.ceil(table["running"] / objective.replicas_per_node)
    turned = turns(table["wanted"].to_numpy())
    node_hours = float(nodes.sum()) / 3600
    score = (
        objective.usd_per_node_hour * node_hours
        + objective.usd_per_waiting_tile_hour * waiting_h
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
    Simulate every combination of the choices; return one row per setting, the best first, with its
    parameters and figures.

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
    rows = []
    for values in product(*choices.values()):
        setting = replace(base, **dict(zip(choices, values, strict=True)))  # type: ignore[arg-type]
        if not setting.problems():
            run = simulate_autoscaler(setting, load, workers)
            rows.append(asdict(setting) | figures(run, objective))
    if not rows:
        raise ParameterError(
            "expected a possible combination; every one breaks a rule",
            evidence="; ".join(setting.problems()),
            next_step="widen the choices",
        )
    return pd.DataFrame(rows).sort_values("score_usd", kind="stable", ignore_index=True)
