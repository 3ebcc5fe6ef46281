"""
The pace of a drill's work, told by the results on the disk: that lasts, whatever else has failed.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from runbook_lib.availability.drills.audit import SURFACES
from runbook_lib.availability.drills.ground import DrillCluster
from runbook_lib.availability.drills.times import ENOUGH
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.hosts.ssh import run

_STEADY_S = 25.0
_RISING_S = 5.0
_TAIL_S = 15.0


@dataclass(frozen=True)
class Load:
    """
    The work stack at work on tiles of a drill.
    """

    here: DrillCluster
    folder: str
    tiles_per_s: int


class Pace:
    """
    Tiles done, counted on the disk once a second; by the main thread, as it waits.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self._first = self._count()
        self._looks: list[tuple[float, int]] = []
        self._steady = 0.0

    def wait_until_steady(self, tiles: float, limit_s: float) -> datetime:
        """
        Until so many are done, over long enough a time; returns since when it was steady.
        """
        began: datetime | None = None

        def probe() -> bool | Pending:
            nonlocal began
            done = self._look()
            if began is None and self._looks[-1][0] - self._looks[0][0] > _RISING_S and done:
                began = datetime.now(UTC)
                self._looks = self._looks[-1:]
            lasted = self._looks[-1][0] - self._looks[0][0] if began else 0.0
            ready = began and done >= tiles and lasted >= _STEADY_S
            return bool(ready) or Pending(f"{done} tiles done", done, int(tiles))

        wait_for("The work is steady", probe, timeout_s=limit_s, poll_s=1)
        self._steady = self._rate(_STEADY_S)
        assert began is not None
        return began

    @property
    def done(self) -> int:
        """
        How many were done when it was last looked.
        """
        return self._looks[-1][1] if self._looks else 0

    def wait_until_done(self, tiles: int, limit_s: float) -> None:
        """
        Until so many are done and the old throughput is back; whether it is, the verdict says.
        """
        deadline = began = time.monotonic()
        deadline += limit_s

        def probe() -> bool | Pending:
            done, rate = self._look(), self._rate(_TAIL_S)
            lasted = time.monotonic() - began >= _TAIL_S
            ready = lasted and done >= tiles and rate >= ENOUGH * self._steady
            over = time.monotonic() >= deadline
            return ready or over or Pending(f"{done} tiles done, {rate:.0f} a second", done, tiles)

        wait_for("The old throughput is back", probe, timeout_s=limit_s + 60, poll_s=1)

    def _look(self) -> int:
        done = self._count() - self._first
        self._looks.append((time.monotonic(), done))
        return done

    def _rate(self, last_s: float) -> float:
        recent = [look for look in self._looks if look[0] >= self._looks[-1][0] - last_s]
        (first_s, first), (then_s, then) = recent[0], recent[-1]
        return (then - first) / (then_s - first_s) if then_s > first_s else 0.0

    def _count(self) -> int:
        folder = f"{self._load.folder}/{SURFACES[-1]}"
        script = f"find {folder} -name '[!.]*.png' 2>/dev/null | wc -l || true"
        return int(run(self._load.here.disk, script, sudo=True))
