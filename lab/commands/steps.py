"""
A line for each step of a command, with its outcome and the seconds it took.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Step:
    """
    A running step; `outcome` goes into its line.
    """

    name: str
    outcome: str = "ready"


@dataclass
class Steps:
    """
    The steps of one command. Several may run at once; a line is printed when one ends.
    """

    started: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        step = Step(name)
        began = time.monotonic()
        try:
            yield step
        except BaseException:
            step.outcome = "failed"
            raise
        finally:
            now = time.monotonic()
            times = f"{now - self.started:6.1f} s  (+{now - began:.1f})"
            self.say(f"{times:18} {step.name}: {step.outcome}")

    def say(self, line: str) -> None:
        with self.lock:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
