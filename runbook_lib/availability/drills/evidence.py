"""
The evidence of a drill: first notice of the fault, times of recovery, and the fate of every tile.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd
from markupsafe import Markup

from runbook_lib.availability.drills.audit import Reconciliation
from runbook_lib.availability.drills.faults import Fault
from runbook_lib.availability.drills.monitors import LED_BY, NO_LEADER, SWARM
from runbook_lib.availability.drills.scorecard import DrillResult, result_table
from runbook_lib.availability.drills.times import (
    Replacement,
    TaskHistory,
    by_time,
    fill_seconds,
    find_replacement,
    measure_recovery,
    parse_time,
)
from runbook_lib.core.tables import frame_html

BY_KEEP_ALIVE = "admin-worker, by KEEP_ALIVE"
BY_HEARTBEAT = "the managers, by heartbeat"
BY_ENGINE = "the node's engine"
BY_OPERATOR = "only the operator"
_SILENT = re.compile(
    r"^(\d{4}-\d\d-\d\dT[\d:.]{8,20}Z) .*Worker (\w+) silent for \d+ s: killed", re.MULTILINE
)


@dataclass(frozen=True)
class Evidence:
    """
    Everything recorded around a fault; all times are by the manager's clock.

    Parameters
    ----------
    tasks
        Swarm's task history, before and after the fault.
    swarm, web
        Results of `SwarmMonitor.changes` and `WebMonitor.answers`.
    killed
        When admin-worker killed a silent worker, by the worker's task.
    """

    began: datetime
    broke: datetime
    restored: datetime
    ended: datetime
    tasks: TaskHistory
    swarm: pd.DataFrame
    web: pd.DataFrame
    killed: Mapping[str, datetime]

    def seconds_until(self, moment: datetime | None) -> float | None:
        return None if moment is None else round((moment - self.broke).total_seconds(), 1)

    def in_seconds(self, table: pd.DataFrame, decimals: int) -> pd.DataFrame:
        """
        Return a table of events with `seconds` since the fault, in place of `time`.
        """
        seconds = (table["time"] - pd.Timestamp(self.broke)).dt.total_seconds()
        return table.assign(seconds=seconds.round(decimals)).drop(columns="time")


@dataclass(frozen=True)
class DrillOutcome:
    """
    The figures of one fault, and their source events.

    Parameters
    ----------
    moments
        Columns time, what: broke, noticed, led, rescheduled, back, recovered, restored.
    rates
        Columns time, tiles_per_s: one row per second.
    """

    result: DrillResult
    tiles: Reconciliation
    moments: pd.DataFrame
    rates: pd.DataFrame
    evidence: Evidence

    def _repr_html_(self) -> Markup:
        shown = frame_html(result_table([self.result]).T, header=False)
        return shown + Markup("<p>{}</p>").format(repr(self.tiles))


def parse_silent_workers(log: str) -> dict[str, datetime]:
    """
    Parse from admin-worker's log when it killed silent workers, by the worker's task.
    """
    killed = {}
    for time, task in reversed(_SILENT.findall(log)):
        with suppress(ValueError):  # the 32nd of a month
            killed[task] = parse_time(time)
    return killed


def find_first_notice(
    evidence: Evidence, fault: Fault, replacement: Replacement
) -> tuple[str, datetime | None]:
    changes = evidence.swarm[evidence.swarm["time"] >= pd.Timestamp(evidence.broke)]

    def first(role: str, state: str) -> datetime | None:
        return _first_time(changes, (changes["role"] == role) & (changes["state"] == state))

    down = first(fault.node, "down")
    if not fault.recovers:  # a leader without a majority first reports the others as down
        no_leader = first(SWARM, NO_LEADER)
        return BY_OPERATOR, min((t for t in (no_leader, down) if t), default=None)
    if down and replacement.rescheduled:  # polled twice a second: tasks may be rescheduled earlier
        down = min(down, replacement.rescheduled)
    ended = replacement.ended
    killed = [evidence.killed[task] for task in fault.tasks if task in evidence.killed]
    notices = {
        BY_KEEP_ALIVE: min(killed, default=None),
        BY_HEARTBEAT: down,
        BY_ENGINE: ended if ended and ended >= evidence.broke else None,
    }
    times = {who: when for who, when in notices.items() if when}
    who = min(times, key=lambda name: times[name], default=BY_OPERATOR)
    return who, times.get(who)


def find_new_leader(evidence: Evidence, fault: Fault) -> datetime | None:
    """
    Find when another manager led, elected or forced by the operator; None if none did.
    """
    changes = evidence.swarm[evidence.swarm["role"] == SWARM]
    limits = pd.Timestamp(evidence.broke), pd.Timestamp(evidence.restored)
    others = changes["state"].str.startswith(LED_BY) & (changes["state"] != LED_BY + fault.node)
    return _first_time(changes, changes["time"].between(*limits) & others)


def evaluate(
    drill: str,
    fault: Fault,
    solutions: tuple[str, ...],
    evidence: Evidence,
    tiles: Reconciliation,
    rates: pd.DataFrame,
) -> DrillOutcome:
    """
    Derive the figures from the evidence; `rates` come from `audit.finished_per_second`.
    """
    replacement = find_replacement(evidence.tasks, fault.tasks)
    who, when = find_first_notice(evidence, fault, replacement)
    led = find_new_leader(evidence, fault)
    back, ended = replacement.running, evidence.ended
    recovery = measure_recovery(rates, evidence.began, evidence.broke, back or ended, ended)
    recovered = recovery.recovered_s
    web, since = evidence.web, evidence.seconds_until
    result = DrillResult(
        drill=drill,
        broke=fault.name,
        solutions=solutions,
        broke_at=evidence.broke.isoformat(timespec="seconds"),
        noticed_by=who,
        noticed_s=since(when),
        leader_s=since(led),
        rescheduled_s=since(replacement.rescheduled),
        back_s=since(back),
        recovered_s=None if recovered is None else round(recovered, 1),
        steady_per_s=round(recovery.steady_per_s, 1),
        pause_s=recovery.pause_s,
        **tiles.counts,
        web_asked=len(web),
        web_failed={str(door): int((~rows["ok"]).sum()) for door, rows in web.groupby("door")},
    )
    times = {
        "broke": evidence.broke,
        "noticed": when,
        "led": led,
        "rescheduled": replacement.rescheduled,
        "back": back,
        "recovered": evidence.broke + timedelta(seconds=recovered) if recovered else None,
        "restored": evidence.restored,
    }
    moments = [(moment, what) for what, moment in times.items() if moment and moment <= ended]
    filled = fill_seconds(rates, evidence.began, ended)
    seconds = filled.rename("tiles_per_s").rename_axis("time").reset_index()
    return DrillOutcome(result, tiles, by_time(moments, ["time", "what"]), seconds, evidence)


def swarm_table(outcomes: Mapping[str, DrillOutcome]) -> pd.DataFrame:
    """
    Tabulate each change of a node's state; columns: fault, seconds (since it), role, state.
    """
    recorded = {name: outcome.evidence for name, outcome in outcomes.items()}
    tables = [e.in_seconds(e.swarm, 1).assign(fault=name) for name, e in recorded.items()]
    return pd.concat(tables, ignore_index=True)[["fault", "seconds", "role", "state"]]


def _first_time(table: pd.DataFrame, rows: "pd.Series[bool]") -> datetime | None:
    times = table.loc[rows, "time"]
    return times.iloc[0].to_pydatetime() if len(times) else None
