"""
Stopping: with an interrupt, then with a kill; after a timeout, or on a signal.
"""

import os
import signal
import subprocess
import threading
import time
from types import SimpleNamespace

import pytest

from runbook_lib.runner import kernels
from runbook_lib.runner.kernels import Stopper, interruptible


class Kernel:
    """
    Notes what was done to it.
    """

    def __init__(self):
        self.done = []
        self.killed = threading.Event()

    def interrupt(self):
        self.done.append("interrupt")

    def kill(self):
        self.done.append("kill")
        self.killed.set()


@pytest.fixture
def kernel():
    return Kernel()


def test_time_that_is_up_interrupts_and_then_kills(kernel, monkeypatch):
    monkeypatch.setattr(kernels, "GRACE_S", 0.01)
    stopper = Stopper(kernel, 0.01)
    assert kernel.killed.wait(10)
    assert ["interrupt", "kill"] == kernel.done
    assert "timed out after 0.01 s" == stopper.reason


def test_a_second_stop_does_not_wait(kernel):
    stopper = Stopper(kernel, 600)
    stopper.stop("interrupted")
    stopper.stop("interrupted")
    stopper.cancel()
    assert ["interrupt", "kill"] == kernel.done


def test_a_notebook_that_has_ended_is_left_alone(kernel):
    Stopper(kernel, 0.5).cancel()
    time.sleep(0.7)
    assert [] == kernel.done


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_notebook_running(kernel, number):
    before = signal.getsignal(number)
    with interruptible() as running:
        running.append(Stopper(kernel, 600))
        os.kill(os.getpid(), number)
        assert ["interrupt"] == kernel.done
        running.pop().cancel()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert before == signal.getsignal(number)


def test_a_kernel_that_has_just_ended_is_stopped_without_an_error():
    """The signal comes before the runner knows of it."""
    with subprocess.Popen(["true"], start_new_session=True) as ended:
        ended.wait()
    gone = object.__new__(kernels.Kernel)
    provisioner = SimpleNamespace(has_process=True, pgid=ended.pid)
    gone.manager = SimpleNamespace(provisioner=provisioner)
    gone.interrupt()
    gone.kill()
