"""
What a drill has to show: who noticed, when what happened, what became of every tile; as a record.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from runbook_lib.availability.drills import scorecard
from runbook_lib.availability.drills.audit import REJECTED, SURFACES, Account
from runbook_lib.availability.drills.failures import Failure
from runbook_lib.availability.drills.scorecard import Result
from runbook_lib.availability.drills.swarm_watch import LED_BY, NO_LEADER, SWARM
from runbook_lib.availability.drills.times import Pace, Replacement, fill, pace, replacement
from runbook_lib.core.tables import frame_html

KEEP_ALIVE = "admin-worker, by KEEP_ALIVE"
HEARTBEAT = "the managers, by heartbeat"
ENGINE = "the node's engine"
OPERATOR = "nobody but the operator"
_SILENT = re.compile(r"^(\S+) .*Worker (\w+) silent for \d+ s: killed", re.MULTILINE)


@dataclass(frozen=True)
class Events:
    """
    All that was seen while something failed; every time is by the manager's clock.

    Parameters
    ----------
    tasks
        Swarm's task history, from before the break and from after it.
    swarm
        Columns time, role, state.
    web
        Columns time, door, ok, seen.
    replaced
        What admin-worker's log tells: when it killed a silent worker, by the worker's task.
    """

    began: datetime
    broke: datetime
    restored: datetime
    ended: datetime
    tasks: list[dict[str, Any]]
    swarm: pd.DataFrame
    web: pd.DataFrame
    replaced: Mapping[str, datetime]


@dataclass(frozen=True)
class Outcome:
    """
    What one break did: the figures, and the events that they come from.

    Parameters
    ----------
    moments
        Columns time, what: broke, noticed, led, rescheduled, back, recovered, restored.
    rates
        Columns time, tiles_per_s: a row a second.
    """

    result: Result
    account: Account
    moments: pd.DataFrame
    rates: pd.DataFrame
    web: pd.DataFrame
    swarm: pd.DataFrame

    def _repr_html_(self) -> str:
        shown = frame_html(scorecard.table([self.result]).T, header=False)
        return f"{shown}<p>{self.account!r}</p>"


def silent_workers(log: str) -> dict[str, datetime]:
    """
    Which workers' tasks admin-worker killed for their silence, and when; from its log with times.
    """
    found = _SILENT.findall(log)
    return {task: pd.Timestamp(time).floor("us").to_pydatetime() for time, task in reversed(found)}


def noticed(events: Events, failure: Failure, found: Replacement) -> tuple[str, datetime | None]:
    """
    Who saw the failure first, and when, by the evidence of each who could.
    """
    seen = events.swarm[events.swarm["time"] >= pd.Timestamp(events.broke)]

    def first(role: str, state: str) -> datetime | None:
        times = seen.loc[(seen["role"] == role) & (seen["state"] == state), "time"]
        return times.iloc[0].to_pydatetime() if len(times) else None

    if not failure.heals:  # a leader that has lost the others says first that they are down
        return OPERATOR, _first_of(first(SWARM, NO_LEADER), first(failure.node, "down"))
    evidence = {
        KEEP_ALIVE: min(
            (events.replaced[t] for t in failure.hit if t in events.replaced), default=None
        ),
        # looked for twice a second; its tasks may have been made anew in between
        HEARTBEAT: _earlier(first(failure.node, "down"), found.rescheduled),
        ENGINE: found.ended if found.ended and found.ended >= events.broke else None,
    }
    told = {who: when for who, when in evidence.items() if when}
    who = min(told, key=lambda name: told[name], default=OPERATOR)
    return who, told.get(who)


def led_again(events: Events, failure: Failure) -> datetime | None:
    """
    When another one led, if need be because the operator saw to it; None where none did.
    """
    seen = events.swarm[events.swarm["role"] == SWARM]
    seen = seen[seen["time"].between(pd.Timestamp(events.broke), pd.Timestamp(events.restored))]
    others = seen["state"].str.startswith(LED_BY) & (seen["state"] != f"{LED_BY}{failure.node}")
    times = seen.loc[others, "time"]
    return times.iloc[0].to_pydatetime() if len(times) else None


def judge(
    drill: str,
    failure: Failure,
    solutions: tuple[str, ...],
    events: Events,
    account: Account,
    rates: pd.DataFrame,
) -> Outcome:
    """
    Bring everything together; `rates` as `books.throughput` gives them.
    """
    found = replacement(events.tasks, failure.hit)
    who, when = noticed(events, failure, found)
    led = led_again(events, failure)
    back = found.running
    seen = pace(rates, events.began, events.broke, back or events.ended, events.ended)
    web = events.web
    result = Result(
        drill=drill,
        broke=failure.name,
        solutions=solutions,
        broke_at=events.broke.isoformat(timespec="seconds"),
        noticed_by=who,
        noticed_s=_since(events, when),
        leader_s=_since(events, led),
        rescheduled_s=_since(events, found.rescheduled),
        back_s=_since(events, back),
        recovered_s=None if seen.recovered_s is None else round(seen.recovered_s, 1),
        steady_per_s=round(seen.steady_per_s, 1),
        pause_s=seen.pause_s,
        published=account.published,
        done=account.done,
        rejected=account.rejected,
        lost=len(account.lost),
        unexplained=len(account.unexplained),
        published_twice=account.published_twice,
        delivered_twice=account.delivered_twice,
        done_twice=account.done_twice,
        web_asked=len(web),
        web_failed={str(door): int((~rows["ok"]).sum()) for door, rows in web.groupby("door")},
    )
    moments = _moments(events, {"noticed": when, "led": led}, found, seen)
    filled = fill(rates, events.began, events.ended)
    shown = filled.rename("tiles_per_s").rename_axis("time").reset_index()
    return Outcome(result, account, moments, shown, web, events.swarm)


def swarm_table(outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    """
    Each change of a node's state; columns: failure, seconds (since the break), role, state.
    """
    tables = []
    for name, outcome in outcomes.items():
        broke = outcome.moments.loc[outcome.moments["what"] == "broke", "time"].iloc[0]
        seconds = (outcome.swarm["time"] - broke).dt.total_seconds().round(1)
        table = outcome.swarm.assign(failure=name, seconds=seconds)
        tables.append(table[["failure", "seconds", "role", "state"]])
    return pd.concat(tables, ignore_index=True)


def tiles_on_disk(listing: str) -> dict[str, set[str]]:
    """
    The tiles of each layer, from a listing of `<layer>/<date>/<z>/<y>/<x>` and a suffix.
    """
    found: dict[str, set[str]] = {layer: set() for layer in (*SURFACES, REJECTED)}
    for line in listing.splitlines():
        layer, _, name = line.partition("/")
        if layer in found:
            found[layer].add(name.rpartition(".")[0])
    return found


def _moments(
    events: Events, told: Mapping[str, datetime | None], found: Replacement, seen: Pace
) -> pd.DataFrame:
    recovered = seen.recovered_s or None
    rows = [
        (events.broke, "broke"),
        *((when, what) for what, when in told.items()),
        (found.rescheduled, "rescheduled"),
        (found.running, "back"),
        (recovered and events.broke + timedelta(seconds=recovered), "recovered"),
        (events.restored, "restored"),
    ]
    table = pd.DataFrame(
        [row for row in rows if row[0] and row[0] <= events.ended], columns=["time", "what"]
    )
    table["time"] = pd.to_datetime(table["time"], utc=True)
    return table.sort_values("time", ignore_index=True)


def _earlier(seen: datetime | None, limit: datetime | None) -> datetime | None:
    return min(seen, limit) if seen and limit else seen


def _first_of(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment), default=None)


def _since(events: Events, moment: datetime | None) -> float | None:
    return None if moment is None else round((moment - events.broke).total_seconds(), 1)
