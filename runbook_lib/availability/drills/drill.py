"""
A drill: steady work, one break, what follows measured, everything put back, the books settled.

The work runs on tiles of its own (links of RAW), so that the guide's are untouched; every tile that
is published is accounted for by its name, from the dealer to the disk.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pandas as pd

from runbook_lib.availability.drills import record
from runbook_lib.availability.drills.audit import settle, throughput
from runbook_lib.availability.drills.evidence import (
    Events,
    Outcome,
    judge,
    silent_workers,
    tiles_on_disk,
)
from runbook_lib.availability.drills.failures import Failure
from runbook_lib.availability.drills.ground import DrillCluster
from runbook_lib.availability.drills.pace import Load, Pace
from runbook_lib.availability.drills.settlement import (
    BOOKS,
    listing,
    open_books,
    read,
    stop_dealing,
    work_off,
)
from runbook_lib.availability.drills.swarm_watch import watching
from runbook_lib.availability.drills.times import replacement
from runbook_lib.availability.drills.web_probe import asking
from runbook_lib.core.errors import NotFoundError
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.geodiff.web import Token, read_token
from runbook_lib.geodiff.web_client import fetch
from runbook_lib.load.experiment import load_stack, load_tiles
from runbook_lib.stacks import specs
from runbook_lib.stacks.containers import find_containers
from runbook_lib.stacks.deploy import wait_for_stack

_WAIT_S = 0.25
"""Between two batches: short, so that a second in which little was dealt is no failure."""
_SHUT_DOWN_S = 30.0
"""A manager that is shut down deals on for a while: its successor must get as far, to settle."""
_DEALT_S = 320.0
"""There are tiles for so long: work is steady after half a minute, and has 240 s to recover."""


@contextmanager
def under_load(
    here: DrillCluster, *, tiles_per_s: int, least_tiles: int, breaks: int = 1, max_timeout_s: int
) -> Iterator[Load]:
    """
    Switch the work stack to tiles of a drill, dealt evenly; in the end everything is put back.

    The autoscaler only looks on: what changes is then the break's doing. It still replaces a worker
    that is silent for `max_timeout_s`. There is a worker on each node that takes them.

    Parameters
    ----------
    least_tiles
        How many each of the `breaks` takes at least; there are enough to be dealt until the old
        throughput is back.
    """
    most_tiles = breaks * (least_tiles + round(tiles_per_s * _DEALT_S))
    room = load_tiles.get_room(here.disk, here.data, most_tiles)
    variables = {
        "BATCH": max(1, round(tiles_per_s * _WAIT_S)),
        "MIN_BATCH": 1,
        "WAIT": _WAIT_S,
        "AUDIT": BOOKS,
        "HOLD": "yes",
        "MAX_TIMEOUT": max_timeout_s,
    }
    work = here.stacks.work
    with ExitStack() as stack:
        for disk in here.disks:  # of the manager, and of who would take its place
            folder = stack.enter_context(load_tiles.linked(disk, here.data, room))
            open_books(disk, folder)
        stack.enter_context(load_stack.switched(here.manager, here.broker, work, variables, folder))
        _spread_workers(here)
        yield Load(here, folder, tiles_per_s)


def _spread_workers(here: DrillCluster) -> None:
    """
    Start the workers anew, as many as there are or one for each node: Swarm spreads them evenly.

    It moves nothing onto a node that came back, so the one to be broken might have none.
    """
    work, service = here.stacks.work, f"{here.stacks.work}_worker"
    spec = specs.find_specs(here.manager, work)["worker"]
    replicas = max(spec["Mode"]["Replicated"]["Replicas"], len(here.nodes))

    def none_left() -> bool | Pending:
        left = specs.running(here.manager, service)
        return not left or Pending(f"{left} workers run")

    specs.scale(here.manager, service, 0)
    wait_for("The workers have ended", none_left, timeout_s=60)
    specs.scale(here.manager, service, replicas)
    wait_for_stack(here.manager, work)


def perform(
    load: Load,
    aim: Callable[[], Failure],
    *,
    drill: str,
    least_tiles: int,
    limit_s: float = 240,
) -> Outcome:
    """
    Let work be steady, break, watch, restore, and settle the books; leaves a record of it.

    The restore runs whatever happens, after an interrupt too, and a second interrupt waits for it.

    Parameters
    ----------
    aim
        Makes the failure once the work is steady: what runs then is what it hits.
    least_tiles
        How many are published at least, half of them before the break.
    limit_s
        How long steadiness, recovery and working off may take, each.
    """
    here = load.here
    stop_dealing(here)
    work_off(load, limit_s)
    offset = _clock_offset(here)
    began_at, there_before = datetime.now(UTC) + offset, tiles_on_disk(listing(load))
    solutions = here.solutions
    token = read_token(here.manager, f"{here.stacks.web}_tile-server")
    asked = asking(here.addresses, _some_tile(here, token), token)
    with asked as probe, watching(here.managers, here.nodes) as watch:
        pace = Pace(load)
        record.note(drill, record.DEALING)
        specs.scale(here.manager, f"{here.stacks.work}_dealer", 1)
        steady_from = pace.wait_until_steady(least_tiles / 2, limit_s)
        failure, before, disk = aim(), here.tasks(), here.disk

        note = partial(record.note, drill, broke=failure.name)

        def follow() -> tuple[datetime, list[dict[str, Any]]]:
            probe.move(here.addresses)
            _wait_until_replaced(here, before, failure, limit_s)
            again = pace.done + round(load.tiles_per_s * _SHUT_DOWN_S) if here.disk != disk else 0
            pace.wait_until_done(max(least_tiles, again), limit_s)
            ended, tasks = datetime.now(UTC), here.tasks()
            stop_dealing(here)
            work_off(load, limit_s)
            return ended, tasks

        watch.spare(failure.node)
        note(record.BREAKING)
        broke = datetime.now(UTC)
        try:
            failure.break_it()
            note(record.BROKEN)
            time.sleep(failure.outage_s)
            followed = follow() if failure.heals else None
        finally:
            with load_stack.uninterrupted():
                note(record.RESTORING)
                failure.restore()
                note(record.RESTORED)
        restored = datetime.now(UTC)
        failure.reach()
        probe.move(here.addresses)
        for stack in (here.stacks.web, here.stacks.work):
            wait_for_stack(here.manager, stack, timeout_s=limit_s)
        ended, tasks = followed or follow()
    events = Events(
        steady_from + offset,
        broke + offset,
        restored + offset,
        ended + offset,
        list({str(task["ID"]): task for task in [*before, *tasks]}.values()),
        _shifted(watch.changes, offset),
        _shifted(probe.answers, offset),
        silent_workers(_log_of_admin(here, broke + offset)),
    )
    books = read(load, began_at)
    account = settle(books, tiles_on_disk(listing(load)), there_before)
    outcome = judge(drill, failure, solutions, events, account, throughput(books))
    record.keep(outcome)
    note(record.SETTLED)
    return outcome


def _wait_until_replaced(
    here: DrillCluster, before: list[dict[str, object]], failure: Failure, limit_s: float
) -> None:
    def probe() -> bool | Pending:
        known = {str(task["ID"]): task for task in [*before, *here.tasks()]}
        back = replacement(known.values(), failure.hit).running
        return bool(back) or Pending("what failed does not run again yet")

    wait_for(f"{failure.name}: replaced", probe, timeout_s=limit_s)


def _log_of_admin(here: DrillCluster, since: datetime) -> str:
    found = find_containers(here.manager, f"{here.stacks.work}_admin-worker", stopped=True)
    logs = [c.logs(timestamps=True, since=since.timestamp()) for c in found]
    return "\n".join(bytes(log).decode(errors="replace") for log in logs)


def _clock_offset(here: DrillCluster) -> timedelta:
    """
    How much the manager's clock is ahead of ours, to the length of a request.
    """
    asked = datetime.now(UTC)
    told = pd.Timestamp(here.manager.info()["SystemTime"]).floor("us").to_pydatetime()
    return told - (asked + (datetime.now(UTC) - asked) / 2)


def _shifted(table: pd.DataFrame, offset: timedelta) -> pd.DataFrame:
    return table.assign(time=table["time"] + pd.Timedelta(offset))


def _some_tile(here: DrillCluster, token: Token) -> str:
    answer = fetch(f"{here.addresses.tiles}/dates", token.header)
    dates = [day["date"] for day in answer.content.get("dates", [])]
    if not dates:
        raise NotFoundError(
            f"expected the tile server to have tiles, it says {answer.kind}",
            next_step="run 06_work_stack, then 07_web_stack",
        )
    return f"RAW/{dates[0]}/0/0/0"
