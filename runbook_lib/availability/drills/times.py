"""
Times computed from events: replacement of failed tasks, and recovery of throughput.

Tasks have Swarm's own times (CreatedAt, Status.Timestamp), tiles those of the audit trail.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

WINDOW_S = 5
"""Window of the mean: batches arrive once a second, and one slow batch is not a failure."""
RECOVERED_SHARE = 0.9
Clock = Callable[[], datetime]
TaskHistory = dict[str, dict[str, Any]]
"""Swarm's tasks by id, in the API's format."""
_ENDED = ("complete", "shutdown", "failed", "rejected", "remove", "orphaned")


@dataclass(frozen=True)
class Replacement:
    """
    Swarm's replacement of failed tasks, from its task history; None for events that did not happen.

    Parameters
    ----------
    ended
        When Swarm recorded the end of the first of them.
    rescheduled
        When the last of their successors was created.
    running
        When the last of their successors ran.
    """

    ended: datetime | None = None
    rescheduled: datetime | None = None
    running: datetime | None = None


@dataclass(frozen=True)
class ThroughputRecovery:
    """
    Throughput before and after a fault.

    Parameters
    ----------
    recovered_s
        Seconds until the mean of five seconds stayed at 90 % of the steady mean; 0 if it never
        fell below, None if it did not recover.
    pause_s
        The longest time without a finished tile.
    """

    steady_per_s: float
    recovered_s: float | None
    pause_s: float


def find_replacement(tasks: TaskHistory, failed: Collection[str]) -> Replacement:
    """
    Find when the `failed` tasks (ids) ended, and their successors: later tasks of the same slot.
    """
    victims = [tasks[task] for task in failed if task in tasks]
    last = [v["Status"] for v in victims]
    ended = [parse_time(status["Timestamp"]) for status in last if status["State"] in _ENDED]
    created, ran = [], []
    for victim in victims:
        later = [task for task in tasks.values() if _succeeds(task, victim)]
        later.sort(key=lambda task: str(task["CreatedAt"]))
        created += [parse_time(task["CreatedAt"]) for task in later[:1]]
        runs = [t for t in later if t["Status"]["State"] == t["DesiredState"] == "running"]
        ran += [parse_time(task["Status"]["Timestamp"]) for task in runs[-1:]]
    return Replacement(
        min(ended, default=None),
        max(created) if created and len(created) == len(failed) else None,
        max(ran) if ran and len(ran) == len(failed) else None,
    )


def measure_recovery(
    rates: pd.DataFrame, began: datetime, broke: datetime, replaced: datetime, ended: datetime
) -> ThroughputRecovery:
    """
    Measure throughput before `broke`, and when it recovered.

    Parameters
    ----------
    rates
        Rates from `audit.finished_per_second`; a second without a row counts as 0.
    began
        Start of the steady state.
    replaced
        When the replacement ran; a dip that begins later has another cause.
    ended
        When dealing was stopped, and with it throughput.
    """
    filled = fill_seconds(rates, began, ended)
    steady = float(filled[filled.index <= _floor(broke) - pd.Timedelta(seconds=1)].mean())
    after = filled[filled.index >= _floor(broke)]
    idle = after.eq(0)
    pauses = idle.groupby((~idle).cumsum()).sum()
    return ThroughputRecovery(
        steady,
        _recovered_s(after, steady, broke, replaced),
        float(pauses.max()) if len(pauses) else 0.0,
    )


def fill_seconds(rates: pd.DataFrame, began: datetime, ended: datetime) -> "pd.Series[float]":
    """
    Return the tiles finished in each whole second between two times.
    """
    seconds = pd.date_range(
        pd.Timestamp(began).ceil("s"), _floor(ended) - pd.Timedelta(seconds=1), freq="s"
    )
    return rates.set_index("time")["tiles_per_s"].reindex(seconds, fill_value=0.0)


def _recovered_s(
    after: "pd.Series[float]", steady: float, broke: datetime, replaced: datetime
) -> float | None:
    enough = RECOVERED_SHARE * steady
    window = after[::-1].rolling(WINDOW_S).mean()[::-1].dropna()  # of the following seconds
    low = window[window < enough]
    low = low[low.index <= pd.Timestamp(replaced) + pd.Timedelta(seconds=WINDOW_S)]
    if low.empty:
        return 0.0
    # a window at the old throughput, like all that begin within it
    lasting = (window >= enough)[::-1].rolling(WINDOW_S, min_periods=1).min()[::-1].astype(bool)
    back = lasting[lasting & (lasting.index > low.index[-1])]
    return max(0.0, (back.index[0] - pd.Timestamp(broke)).total_seconds()) if len(back) else None


def _succeeds(task: Mapping[str, Any], victim: Mapping[str, Any]) -> bool:
    same = task["ServiceID"] == victim["ServiceID"] and task.get("Slot") == victim.get("Slot")
    return bool(same and parse_time(task["CreatedAt"]) > parse_time(victim["CreatedAt"]))


def by_time(rows: Iterable[object], columns: list[str]) -> pd.DataFrame:
    """
    Return a DataFrame of events; the column `time` is in UTC, and in order.
    """
    table = pd.DataFrame(list(rows), columns=columns)
    table["time"] = pd.to_datetime(table["time"], utc=True, format="ISO8601")
    return table.sort_values("time", ignore_index=True, kind="stable")


def parse_time(text: str) -> datetime:
    """
    Parse a Docker time, which has nanoseconds.
    """
    return pd.Timestamp(text).floor("us").to_pydatetime()


def _floor(moment: datetime) -> pd.Timestamp:
    return pd.Timestamp(moment).floor("s")
