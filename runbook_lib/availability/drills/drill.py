"""
A drill: steady state, one fault, its effects measured, everything restored, every tile audited.

The work uses separate tiles (links to RAW), so that the guide's tiles are untouched.
"""

import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus

from docker.errors import APIError
from docker.models.containers import Container

from runbook_lib.availability.drills import scorecard
from runbook_lib.availability.drills.audit import finished_per_second, reconcile
from runbook_lib.availability.drills.evidence import (
    DrillOutcome,
    Evidence,
    evaluate,
    parse_silent_workers,
)
from runbook_lib.availability.drills.faults import Fault
from runbook_lib.availability.drills.ground import DrillCluster
from runbook_lib.availability.drills.monitors import SwarmMonitor, WebMonitor, polling
from runbook_lib.availability.drills.times import Clock, TaskHistory, find_replacement, parse_time
from runbook_lib.availability.drills.workload import AUDIT_FOLDER, ThroughputMonitor, Workload
from runbook_lib.core.errors import NotFoundError
from runbook_lib.core.wait import Pending, wait_for, wait_seconds
from runbook_lib.geodiff.browser import wait_for_dates
from runbook_lib.geodiff.web import read_token
from runbook_lib.hosts.ssh import run
from runbook_lib.load.experiment import load_stack, load_tiles
from runbook_lib.stacks.deploy import wait_for_stack
from runbook_lib.stacks.running import specs
from runbook_lib.stacks.running.containers import find_containers
from runbook_lib.stacks.running.specs import find_specs

_WAIT_S = 0.25
"""Pause between batches: short, so that a second with few published tasks is not a failure."""
_SHUT_DOWN_S = 30.0
"""A manager publishes for a while during shutdown: its successor must catch up."""
_PUBLISHING_S = 320.0
"""Duration of the tiles: work is steady after half a minute, and has 240 s to recover."""
_OUTAGE_S = 20.0
"""Outage time that shows that nothing recovers by itself."""
_LIMIT_S = 240.0
"""Time limit of steady state, recovery and drain, each."""


@contextmanager
def under_load(
    here: DrillCluster, *, tiles_per_s: int, least_tiles: int, faults: int = 1, max_timeout_s: int
) -> Iterator[Workload]:
    """
    Switch the work stack to the tiles of a drill, at a constant rate; restore everything at the
    end.

    The autoscaler does not scale, so that every change is an effect of the fault. It still replaces
    workers that are silent for `max_timeout_s`. Every node that may run workers has one.

    Parameters
    ----------
    least_tiles
        The least number of tiles of each of the `faults`; there are enough to publish until
        throughput has recovered.
    """
    most_tiles = faults * (least_tiles + round(tiles_per_s * _PUBLISHING_S))
    room = load_tiles.get_room(here.disk, here.data, most_tiles)
    batch, work = max(1, round(tiles_per_s * _WAIT_S)), here.stacks.work
    variables = {"BATCH": batch, "MIN_BATCH": 1, "WAIT": _WAIT_S, "AUDIT": AUDIT_FOLDER}
    variables |= {"HOLD": "yes", "MAX_TIMEOUT": max_timeout_s}
    with ExitStack() as stack:
        for disk in here.disks:
            folder = stack.enter_context(load_tiles.linked(disk, here.data, room))
            where = shlex.quote(folder)
            run(disk, f"install -d -o $(stat -c %u {where}) {where}{AUDIT_FOLDER}", sudo=True)
        stack.enter_context(load_stack.switched(here.manager, here.broker, work, variables, folder))
        _spread_workers(here)
        yield Workload(here, folder, tiles_per_s)


def _spread_workers(here: DrillCluster) -> None:
    # Swarm spreads restarted workers evenly, at least one per node; it moves no task to a node that
    # came back, so the node that is to fail might have none.
    worker = here.service("worker")
    spec = find_specs(here.manager, here.stacks.work)["worker"]
    replicas = max(spec["Mode"]["Replicated"]["Replicas"], len(here.instances))

    def probe() -> bool | Pending:
        left = specs.running(here.manager, worker)
        return not left or Pending(f"{left} workers run")

    specs.scale(here.manager, worker, 0)
    wait_for("Workers stopped", probe, timeout_s=60)
    specs.scale(here.manager, worker, replicas)
    wait_for_stack(here.manager, here.stacks.work)


def run_drill(
    load: Workload, prepare: Callable[[], Fault], *, drill: str, least_tiles: int
) -> DrillOutcome:
    """
    Wait for the steady state, inject one fault, measure, restore and audit; write the result.

    The restore always runs, even after an interrupt, and delays a second interrupt.

    Parameters
    ----------
    prepare
        Creates the fault in the steady state, from the targets that run then.
    least_tiles
        The least number of tiles to publish, half of them before the fault.
    """
    here = load.here
    load.stop_dealer()
    load.drain(_LIMIT_S)
    now = _manager_clock(here)
    trail_from, tiles_before, solutions = now(), load.find_tiles(), here.solutions
    web, swarm = _web_monitor(here, now), SwarmMonitor(here.managers, here.instances, now)
    with polling(swarm, web):
        throughput = ThroughputMonitor(load, now)
        scorecard.write_journal(drill, scorecard.DEALING)
        specs.scale(here.manager, here.service("dealer"), 1)
        steady_from = throughput.wait_until_steady(least_tiles / 2, _LIMIT_S)
        fault, before, disk = prepare(), here.tasks(), here.disk
        journal = partial(scorecard.write_journal, drill, broke=fault.name)

        def replaced() -> bool | Pending:
            running = find_replacement(before | here.tasks(), fault.tasks).running
            return bool(running) or Pending("not every replacement runs")

        def follow() -> tuple[datetime, TaskHistory]:
            web.move(here.addresses)
            wait_for(f"Tasks replaced ({fault.name})", replaced, timeout_s=_LIMIT_S)
            more = round(load.tiles_per_s * _SHUT_DOWN_S) if here.disk != disk else 0
            least = max(least_tiles, throughput.done + more) if more else least_tiles
            throughput.wait_until_done(least, _LIMIT_S)
            ended, tasks = now(), here.tasks()
            load.stop_dealer()
            load.drain(_LIMIT_S)
            return ended, tasks

        swarm.skip(fault.node)
        journal(scorecard.BREAKING)
        broke = now()
        try:
            fault.inject()
            journal(scorecard.BROKEN)
            _sit_out(fault)
            followed = follow() if fault.recovers else None
        finally:
            with load_stack.uninterrupted():
                journal(scorecard.RESTORING)
                fault.restore()
                journal(scorecard.RESTORED)
        restored = now()
        fault.reconnect()
        web.move(here.addresses)
        for stack in (here.stacks.web, here.stacks.work):
            wait_for_stack(here.manager, stack, timeout_s=_LIMIT_S)
        ended, tasks = followed or follow()
    evidence = Evidence(
        *(steady_from, broke, restored, ended),
        *(before | tasks, swarm.changes, web.answers, _find_silent_workers(here, broke)),
    )
    trail = load.read_trail(trail_from)
    tiles = reconcile(trail, load.find_tiles(), tiles_before)
    outcome = evaluate(drill, fault, solutions, evidence, tiles, finished_per_second(trail))
    scorecard.write_result(outcome.result, tiles.fates)
    journal(scorecard.SETTLED)
    return outcome


def _sit_out(fault: Fault) -> None:
    if not fault.recovers:
        wait_seconds(f"Outage ({fault.name})", _OUTAGE_S)


def _find_silent_workers(here: DrillCluster, since: datetime) -> dict[str, datetime]:
    containers = find_containers(here.manager, here.service("admin-worker"), stopped=True)
    logs = [_read_log(container, since) for container in containers]
    return parse_silent_workers("\n".join(logs))


def _read_log(container: Container, since: datetime) -> str:
    try:
        log = bytes(container.logs(timestamps=True, since=since.timestamp()))
        return log.decode(errors="replace")
    except APIError as error:
        if error.status_code not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
            raise
        return ""  # Docker is removing a stopped container, and its log with it


def _manager_clock(here: DrillCluster) -> Clock:
    # accurate to the duration of a request
    sent = datetime.now(UTC)
    remote = parse_time(here.manager.info()["SystemTime"])
    ahead = remote - (sent + (datetime.now(UTC) - sent) / 2)
    return lambda: datetime.now(UTC) + ahead


def _web_monitor(here: DrillCluster, now: Clock) -> WebMonitor:
    token = read_token(here.manager, f"{here.stacks.web}_tile-server")
    dates = wait_for_dates(here.addresses, token)  # a server that has just started still counts
    if dates.empty:
        raise NotFoundError(
            "expected the tile server to have tiles, it has none",
            next_step="run 06_work_stack, then 07_web_stack",
        )
    return WebMonitor(here.addresses, f"RAW/{dates['date'].iloc[0]}/0/0/0", token, now)
