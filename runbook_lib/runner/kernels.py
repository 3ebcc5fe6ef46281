"""
Kernels started ahead of their notebooks, so that the run does not wait for imports; and stopping a
notebook in its kernel, after a timeout or on a signal.

Before papermill uses a kernel, only the import statements of its notebook run there.
"""

import ast
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync

from runbook_lib.notebook.templates import Notebook
from runbook_lib.runner.record import INTERRUPTED

GRACE_S = 300.0
"""
Time between interrupting a kernel and killing it, to restore what it changed. A drill restarts its
manager and moves services and tiles back to it. A second signal kills at once.
"""

_WARM_UP = """exec('''
from contextlib import suppress
from importlib import import_module
for name in {names!r}:
    with suppress(Exception):  # the notebook's own cell will raise it
        import_module(name)
''', {{}})"""

# as bytes: a kernel shows a text without quotes
_ACTIVITY = (
    "__import__('json').dumps("
    "__import__('runbook_lib.core.activity').core.activity.ACTIVITY.as_dict()).encode()"
)


class Kernel:
    """
    A running IPython kernel, which may still be importing.
    """

    def __init__(self, folder: Path, imports: list[str], environment: dict[str, str]) -> None:
        # Unix sockets: over TCP ports every user of this machine could reach the kernel.
        self.manager = AsyncKernelManager(transport="ipc", ip=str(folder / f"k{id(self):x}"))
        run_sync(self.manager.start_kernel)(
            env=os.environ | environment,
            extra_arguments=[
                "--HistoryManager.hist_file=:memory:",
                "--Application.log_level=ERROR",
                f"--IPKernelApp.exec_lines={_WARM_UP.format(names=imports)}",
            ],
        )

    def interrupt(self) -> None:
        """
        Raise KeyboardInterrupt in the running cell, and interrupt the programs that it started.
        """
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        provisioner: Any = self.manager.provisioner
        if provisioner is not None and provisioner.has_process:
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.killpg(provisioner.pgid, number)

    def activity(self) -> dict[str, Any]:
        """
        Return the activity before a failure; empty if the kernel does not respond.
        """
        if not run_sync(self.manager.is_alive)():
            return {}
        client = self.manager.blocking_client()
        client.start_channels()
        try:
            client.execute("", silent=True, user_expressions={"activity": _ACTIVITY})
            reply = client.get_shell_msg(timeout=5)["content"]["user_expressions"]["activity"]
            answer = json.loads(ast.literal_eval(reply["data"]["text/plain"]))
        except (Empty, KeyError):
            return {}
        finally:
            client.stop_channels()
        return dict(answer)

    def shut_down(self) -> None:
        run_sync(self.manager.shutdown_kernel)(now=True)


class Kernels:
    """
    At most two kernels, the current and the next. Each gets `environment`.
    """

    def __init__(self, folder: Path) -> None:
        self.environment: dict[str, str] = {}
        self._folder = folder
        self._warm: dict[str, Kernel] = {}
        self._started: list[Kernel] = []

    def warm_up(self, notebook: Notebook) -> None:
        self._warm[notebook.name] = Kernel(self._folder, notebook.imports, self.environment)
        self._started.append(self._warm[notebook.name])

    def take(self, notebook: Notebook) -> Kernel:
        return self._warm.pop(notebook.name)

    def release(self, kernel: Kernel) -> None:
        self._started.remove(kernel)
        kernel.shut_down()

    def shut_down(self) -> None:
        while self._started:
            self.release(self._started[0])


@contextmanager
def kernels() -> Iterator[Kernels]:
    """
    Provide the kernels of one run; none outlives it.
    """
    with TemporaryDirectory(prefix="runbook-") as folder:
        made = Kernels(Path(folder))
        try:
            yield made
        finally:
            made.shut_down()


class Stopper:
    """
    Stopper of a kernel: an interrupt, then a kill after `GRACE_S`.
    """

    def __init__(self, kernel: Kernel, timeout_s: float) -> None:
        self.reason = ""
        self._kernel = kernel
        self._timers: list[threading.Timer] = []
        self._later(timeout_s, lambda: self.stop(f"timed out after {timeout_s:g} s"))

    def stop(self, reason: str) -> None:
        """
        Interrupt the running cell; on the second call, kill the kernel at once.
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
    Make SIGINT and SIGTERM stop the running notebook; between two notebooks they end the run.
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
