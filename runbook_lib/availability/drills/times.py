"""
From what happened to seconds: who was hit, when it was seen, when work was as before.

Pure. Times of tasks are Swarm's own (CreatedAt, Status.Timestamp), those of tiles are their books'.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

WINDOW_S = 5
"""A batch comes once a second, and a slow one is no failure."""
ENOUGH = 0.9
_ENDED = ("complete", "shutdown", "failed", "rejected", "remove", "orphaned")


@dataclass(frozen=True)
class Replacement:
    """
    What Swarm's task history tells of tasks that were hit; None where it tells nothing (yet).

    Parameters
    ----------
    ended
        When the first of them was seen to have ended.
    rescheduled
        When the last of their successors was made.
    running
        When the last of their successors ran.
    """

    ended: datetime | None = None
    rescheduled: datetime | None = None
    running: datetime | None = None


@dataclass(frozen=True)
class Pace:
    """
    Throughput before and after a break.

    Parameters
    ----------
    recovered_s
        Seconds until five seconds together were at 90 % of the steady mean for good; 0 where they
        never fell below, None where they never came back.
    pause_s
        The longest time in which no tile was finished.
    """

    steady_per_s: float
    recovered_s: float | None
    pause_s: float


def replacement(tasks: Iterable[Mapping[str, Any]], hit: Collection[str]) -> Replacement:
    """
    Find when the tasks `hit` (ids) ended, and their successors: later tasks of the same slot.
    """
    known = {str(task["ID"]): task for task in tasks}
    victims = [known[task] for task in hit if task in known]
    ended = [_time(v["Status"]["Timestamp"]) for v in victims if v["Status"]["State"] in _ENDED]
    made, ran = [], []
    for victim in victims:
        later = sorted(
            (task for task in known.values() if _succeeds(task, victim)),
            key=lambda task: str(task["CreatedAt"]),
        )
        made += [_time(task["CreatedAt"]) for task in later[:1]]
        runs = [t for t in later if t["Status"]["State"] == t["DesiredState"] == "running"]
        ran += [_time(task["Status"]["Timestamp"]) for task in runs[-1:]]
    return Replacement(
        min(ended, default=None),
        max(made) if made and len(made) == len(hit) else None,
        max(ran) if ran and len(ran) == len(hit) else None,
    )


def pace(
    rates: pd.DataFrame, began: datetime, broke: datetime, mended: datetime, ended: datetime
) -> Pace:
    """
    Measure throughput before `broke`, and how it came back.

    Parameters
    ----------
    rates
        As `books.throughput` gives them, a bin a second; what lies outside is silence.
    began
        When it was steady.
    mended
        When what had failed ran again; a dip that begins later has another cause.
    ended
        When dealing was stopped, and throughput with it.
    """
    filled = fill(rates, began, ended)
    steady = float(filled[filled.index <= _floor(broke) - pd.Timedelta(seconds=1)].mean())
    after = filled[filled.index >= _floor(broke)]
    return Pace(steady, _recovered_s(after, steady, broke, mended), _pause_s(after))


def fill(rates: pd.DataFrame, began: datetime, ended: datetime) -> "pd.Series[float]":
    """
    Tiles finished in each whole second between two times; 0 where there were none.
    """
    seconds = pd.date_range(
        pd.Timestamp(began).ceil("s"), _floor(ended) - pd.Timedelta(seconds=1), freq="s"
    )
    return rates.set_index("time")["tiles_per_s"].reindex(seconds, fill_value=0.0)


def _recovered_s(
    after: "pd.Series[float]", steady: float, broke: datetime, mended: datetime
) -> float | None:
    window = after[::-1].rolling(WINDOW_S).mean()[::-1].dropna()  # of the seconds that follow
    low = window[window < ENOUGH * steady]
    low = low[low.index <= pd.Timestamp(mended) + pd.Timedelta(seconds=WINDOW_S)]
    if low.empty:
        return 0.0
    fine = window >= ENOUGH * steady
    # a window that is fine, and those that begin within it
    lasting = fine[::-1].rolling(WINDOW_S, min_periods=1).min()[::-1].astype(bool)
    back = lasting[lasting & (lasting.index > low.index[-1])]
    return max(0.0, (back.index[0] - pd.Timestamp(broke)).total_seconds()) if len(back) else None


def _pause_s(after: "pd.Series[float]") -> float:
    silent = after.eq(0)
    runs = silent.groupby((~silent).cumsum()).sum()
    return float(runs.max()) if len(runs) else 0.0


def _succeeds(task: Mapping[str, Any], victim: Mapping[str, Any]) -> bool:
    same = task["ServiceID"] == victim["ServiceID"] and task.get("Slot") == victim.get("Slot")
    return bool(same and _time(task["CreatedAt"]) > _time(victim["CreatedAt"]))


def _time(text: str) -> datetime:
    return pd.Timestamp(text).floor("us").to_pydatetime()


def _floor(moment: datetime) -> pd.Timestamp:
    return pd.Timestamp(moment).floor("s")
