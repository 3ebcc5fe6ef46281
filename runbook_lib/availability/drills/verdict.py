"""
What is predicted of a failure before it happens, and the verdict on it: a check for each line.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import pandas as pd

from runbook_lib.availability.drills.scorecard import Result
from runbook_lib.core import checks


@dataclass(frozen=True)
class Prediction:
    """
    The bounds; seconds count from the break.

    Parameters
    ----------
    back_s
        Until what failed, or another in its place, runs again.
    recovered_s
        Until the old throughput is back.
    web_failed
        Requests of the map and its tiles that fail.
    leader_s
        Until another manager leads; None where the leader does not fail.
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
    One row a failure; the columns are the bounds that there are.
    """
    table = pd.DataFrame([asdict(p) for p in predictions.values()], index=list(predictions))
    return table.dropna(axis="columns", how="all")


def verdict(prediction: Prediction, result: Result, least_tiles: int) -> checks.Verdicts:
    """
    Check every bound, and that the measurement was long enough to mean something.

    Raises
    ------
    CheckFailedError
        At the first one that does not hold.
    """
    what = result.broke
    leader = prediction.leader_s
    seconds = {
        "until somebody noticed": (prediction.noticed_s, result.noticed_s),
        **({} if leader is None else {"until another one led": (leader, result.leader_s)}),
        "until it ran again": (prediction.back_s, result.back_s),
        "until the old throughput was back": (prediction.recovered_s, result.recovered_s),
    }
    lines = [
        checks.check(f"{what}: tiles lost", expected=prediction.lost, actual=result.lost),
        checks.check(
            f"{what}: at least {least_tiles} tiles published",
            expected=True,
            actual=result.published >= least_tiles,
        ),
        checks.check(
            f"{what}: noticed by", expected=prediction.noticed_by, actual=result.noticed_by
        ),
        *(
            checks.check_at_most(f"{what}: seconds {words}", limit=limit, actual=_or_never(seen))
            for words, (limit, seen) in seconds.items()
        ),
        checks.check_at_most(
            f"{what}: web requests that failed",
            limit=prediction.web_failed,
            actual=sum(result.web_failed.values()),
        ),
    ]
    return checks.Verdicts(lines)


def _or_never(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds
