"""
How long results take, from the dealer's publishing of the task to the file on disk.

The dealer stamps each task with its clock, the worker passes the stamp on, and the updater counts.
Dealer and updater run on the manager, so both stamps come from one clock unless it is set between
them: a difference below zero, or over a day, is counted apart.
"""

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

STAMP = "dealt-ms"
GROWTH = 1.05
MAX_MS = 24 * 60 * 60 * 1000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def passed_on(headers: Mapping[str, Any]) -> dict[str, int]:
    """
    The stamp as headers of a result; none if the task has none, or none that can be a time.

    A task from a dealer of before has none, and the result must not claim one.
    """
    stamp = headers.get(STAMP)
    # pika reads an integer of 64 bits as a class of its own; True is an int, too
    known = isinstance(stamp, int) and not isinstance(stamp, bool) and 0 < stamp < 2**53
    return {STAMP: int(stamp)} if known else {}


class Latencies:
    """
    The latencies of one period in buckets that grow by 5 %: at most 375, however many results.

    Bucket i holds from GROWTH^i to GROWTH^(i+1) milliseconds, bucket 0 also what is shorter.
    """

    def __init__(self, clock_ms: Callable[[], int] = now_ms) -> None:
        self._clock_ms = clock_ms
        self._clear()

    def _clear(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._unstamped = self._absurd = 0

    def add(self, headers: Mapping[str, Any]) -> None:
        if STAMP not in headers:
            self._unstamped += 1
            return
        stamp = passed_on(headers).get(STAMP)
        waited_ms = -1 if stamp is None else self._clock_ms() - stamp
        if 0 <= waited_ms <= MAX_MS:
            self._buckets[int(math.log(max(waited_ms, 1), GROWTH))] += 1
        else:
            self._absurd += 1

    def take(self) -> str | None:
        """
        Return the period as one line of JSON and begin the next; None if nothing was counted.
        """
        if not self._buckets and not self._unstamped and not self._absurd:
            return None
        record = {
            "record": "latency",
            "time": datetime.fromtimestamp(self._clock_ms() / 1000, UTC).isoformat(),
            "growth": GROWTH,
            "buckets": sorted(self._buckets.items()),
            "unstamped": self._unstamped,
            "absurd": self._absurd,
        }
        self._clear()
        return json.dumps(record)
