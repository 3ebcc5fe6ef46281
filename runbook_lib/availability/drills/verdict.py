"""
The prediction, written before a fault, and the verdict on it: a check for each bound.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import pandas as pd

from runbook_lib.availability.drills.scorecard import DrillResult
from runbook_lib.core import checks


@dataclass(frozen=True)
class Prediction:
    """
    The bounds of the figures in `DrillResult`; `leader_s` is None where the leader does not fail.
    """

    noticed_by: str
    noticed_s: float
    back_s: float
    recovered_s: float
    web_failed: int = 0
    lost: int = 0
    leader_s: float | None = None


def prediction_table(predictions: Mapping[str, Prediction]) -> pd.DataFrame:
    """
    One row a fault; a column for each bound that any of them has.
    """
    table = pd.DataFrame([asdict(p) for p in predictions.values()], index=list(predictions))
    return table.dropna(axis="columns", how="all")


def verdict(prediction: Prediction, result: DrillResult, least_tiles: int) -> checks.Verdicts:
    """
    Check every bound, and that the measurement was long enough to mean something.

    Raises
    ------
    CheckFailedError
        At the first bound that was exceeded.
    """
    what, p = result.broke, prediction
    limits = {
        "seconds until it was noticed": (p.noticed_s, result.noticed_s),
        "seconds until another manager led": (p.leader_s, result.leader_s),
        "seconds until it was replaced": (p.back_s, result.back_s),
        "seconds until throughput recovered": (p.recovered_s, result.recovered_s),
        "failed web requests": (p.web_failed, sum(result.web_failed.values())),
    }
    is_enough = result.published >= least_tiles
    lines = [
        checks.check(f"{what}: tiles lost", expected=p.lost, actual=result.lost),
        checks.true(f"{what}: at least {least_tiles} tiles published", is_enough),
        checks.check(f"{what}: noticed by", expected=p.noticed_by, actual=result.noticed_by),
    ]
    for words, (limit, actual) in limits.items():
        if limit is not None:
            most = math.inf if actual is None else actual
            lines.append(checks.check_at_most(f"{what}: {words}", limit=limit, actual=most))
    return checks.Verdicts(lines)
