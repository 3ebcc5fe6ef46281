"""
Stopping a notebook: after a timeout, or on a signal.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from runbook_lib.runner.kernels import Kernel
from runbook_lib.runner.record import INTERRUPTED

GRACE_S = 300.0
"""
Between the interrupt of a kernel and its kill: time to restore what it changed. A drill starts its
manager again and moves services and tiles back to it. A second signal kills at once.
"""


class Stopper:
    """
    Stops a kernel: with an interrupt, then with a kill after `GRACE_S`.
    """

    def __init__(self, kernel: Kernel, timeout_s: float) -> None:
        self.reason = ""
        self._kernel = kernel
        self._timers: list[threading.Timer] = []
        self._later(timeout_s, lambda: self.stop(f"timed out after {timeout_s:g} s"))

    def stop(self, reason: str) -> None:
        """
        Interrupt the running cell; called a second time, kill the kernel at once.
        """
        if self.reason:
            self._kernel.kill()
            return
        self.reason = reason
        self._kernel.interrupt()
        self._later(GRACE_S, self._kernel.kill)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        timer.start()
        self._timers.append(timer)

    def cancel(self) -> None:
        for timer in self._timers:
            timer.cancel()


@contextmanager
def interruptible() -> Iterator[list[Stopper]]:
    """
    Let SIGINT and SIGTERM stop the running notebook; between two notebooks they end the run.
    """
    running: list[Stopper] = []

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if not running:
            raise KeyboardInterrupt
        running[-1].stop(INTERRUPTED)

    before = {n: signal.signal(n, on_signal) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield running
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
