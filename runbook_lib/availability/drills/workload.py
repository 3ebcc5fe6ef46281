"""
The work stack under the load of a drill: its throughput followed, then drained and audited.

Throughput is counted by the results on the disk, which survive any other failure.
"""

import shlex
import time
from dataclasses import dataclass
from datetime import datetime

from runbook_lib.availability.drills.audit import (
    REJECTED,
    SURFACES,
    AuditTrail,
    parse_listing,
    parse_trail,
)
from runbook_lib.availability.drills.ground import DrillCluster
from runbook_lib.availability.drills.times import RECOVERED_SHARE, Clock
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.hosts.ssh import run
from runbook_lib.load.experiment import load_stack
from runbook_lib.stacks.running import specs

AUDIT_FOLDER = "/audit"
"""Folder in the containers of dealer and updater, and below the tiles on the host."""
_STEADY_S = 25.0
_RISING_S = 5.0
_TAIL_S = 15.0


@dataclass(frozen=True)
class Workload:
    """
    The work stack, working on the tiles of a drill in `folder`.
    """

    here: DrillCluster
    folder: str
    tiles_per_s: int

    def stop_dealer(self) -> None:
        specs.scale(self.here.manager, self.here.service("dealer"), 0)

    def drain(self, limit_s: float) -> None:
        """
        Wait until every task is done: no message is ready or unacknowledged, and no dealer runs.
        """
        here, broker = self.here, self.here.broker

        def count() -> tuple[int, float]:
            messages = load_stack.waiting(broker)
            return specs.running(here.manager, here.service("dealer")), messages

        load_stack.wait_until_empty("Queues drained", count, timeout_s=limit_s, poll_s=1)

    def read_trail(self, since: datetime) -> AuditTrail:
        script = f"cat {shlex.quote(self.folder)}{AUDIT_FOLDER}/*.jsonl 2>/dev/null || true"
        return parse_trail(self._on_each_disk(script), since)

    def find_tiles(self) -> dict[str, set[str]]:
        layers = shlex.join((*SURFACES, REJECTED))
        names = "-name '[!.]*.png' -o -name '[!.]*.json'"
        script = f"cd {shlex.quote(self.folder)} && find {layers} {names} 2>/dev/null || true"
        return parse_listing(self._on_each_disk(script))

    def count_done(self) -> int:
        """
        Count the tiles that are done, on the disk in use.
        """
        folder = shlex.quote(f"{self.folder}/{SURFACES[-1]}")
        script = f"find {folder} -name '[!.]*.png' 2>/dev/null | wc -l || true"
        return int(run(self.here.disk, script, sudo=True))

    def _on_each_disk(self, script: str) -> str:
        return "".join(run(disk, script, sudo=True) for disk in self.here.disks)


class ThroughputMonitor:
    """
    A counter of finished tiles, once a second, in the main thread while it waits.
    """

    def __init__(self, load: Workload, now: Clock) -> None:
        self._load, self._now = load, now
        self._first = load.count_done()
        self._counts: list[tuple[float, int]] = []
        self._steady = 0.0

    def wait_until_steady(self, tiles: float, limit_s: float) -> datetime:
        """
        Wait until enough tiles are done in enough time; return the start of the steady state.
        """
        began: datetime | None = None

        def probe() -> datetime | Pending:
            nonlocal began
            done = self._count()
            if began is None and self._lasted() > _RISING_S and done:
                began, self._counts = self._now(), self._counts[-1:]
            if began and done >= tiles and self._lasted() >= _STEADY_S:
                return began
            return Pending(f"{done} tiles done", done, int(tiles))

        steady_from = wait_for("Steady throughput", probe, timeout_s=limit_s, poll_s=1)
        self._steady = self._rate(_STEADY_S)
        return steady_from

    @property
    def done(self) -> int:
        return self._counts[-1][1] if self._counts else 0

    def wait_until_done(self, tiles: int, limit_s: float) -> None:
        """
        Wait until enough tiles are done and throughput has recovered.

        Returns after `limit_s` at the latest: the verdict states whether throughput recovered.
        """
        began = time.monotonic()

        def probe() -> bool | Pending:
            done, rate = self._count(), self._rate(_TAIL_S)
            lasted = time.monotonic() - began
            ready = done >= tiles and rate >= RECOVERED_SHARE * self._steady
            over = (ready and lasted >= _TAIL_S) or lasted >= limit_s
            return over or Pending(f"{done} tiles done, {rate:.0f} a second", done, tiles)

        wait_for("Throughput recovered", probe, timeout_s=limit_s + 60, poll_s=1)

    def _count(self) -> int:
        done = self._load.count_done() - self._first
        self._counts.append((time.monotonic(), done))
        return done

    def _lasted(self) -> float:
        return self._counts[-1][0] - self._counts[0][0]

    def _rate(self, last_s: float) -> float:
        recent = [count for count in self._counts if count[0] >= self._counts[-1][0] - last_s]
        (first_s, first), (then_s, then) = recent[0], recent[-1]
        return (then - first) / (then_s - first_s) if then_s > first_s else 0.0
