"""
Stopping a notebook: when its time is up, or when somebody asks for it.
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
Between the interrupt of a kernel and its end by force: time to put back what it changed. A drill's
manager is started again and gets its services and tiles back; who cannot wait asks a second time.
"""


class Stopper:
    """
    Stops a kernel: by an interrupt, and by force where it does not heed that.
    """

    def __init__(self, kernel: Kernel, timeout_s: float) -> None:
        self.reason = ""
        self._kernel = kernel
        self._timers: list[threading.Timer] = []
        self._later(timeout_s, lambda: self.stop(f"not finished within {timeout_s:g} s"))

    def stop(self, reason: str) -> None:
        """
        Interrupt the running cell; asked a second time, end the kernel at once.
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

    def forget(self) -> None:
        """
        The notebook has ended by itself.
        """
        for timer in self._timers:
            timer.cancel()


@contextmanager
def interruptible() -> Iterator[list[Stopper]]:
    """
    Let SIGINT and SIGTERM stop the notebook at work; between two notebooks they end the run.
    """
    at_work: list[Stopper] = []

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if not at_work:
            raise KeyboardInterrupt
        at_work[-1].stop(INTERRUPTED)

    before = {n: signal.signal(n, on_signal) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield at_work
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
