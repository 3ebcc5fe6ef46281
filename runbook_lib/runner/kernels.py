"""
Kernels that start ahead of their notebooks, so that the run does not wait for imports.

Only the import statements of its notebook run in a kernel before papermill uses it.
"""

import ast
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from tempfile import TemporaryDirectory
from typing import Any

from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync

from runbook_lib.notebook.templates import Notebook

_WARM_UP = """exec('''
from contextlib import suppress
from importlib import import_module
for name in {names!r}:
    with suppress(Exception):  # the notebook's own cell will raise it
        import_module(name)
''', {{}})"""

_ACTIVITY = (
    "__import__('json').dumps("
    "__import__('runbook_lib.core.activity').core.activity.ACTIVITY.as_dict())"
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
        Raise KeyboardInterrupt in the running cell, and in the programs that it started.
        """
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        provisioner: Any = self.manager.provisioner
        if provisioner is not None and provisioner.has_process:
            os.killpg(provisioner.pgid, number)

    def activity(self) -> dict[str, Any]:
        """
        What this kernel did before a failure; empty where it does not answer.
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
    At most two kernels: the running one, and the next one. Each gets `environment`.
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
    The kernels of one run; none of them outlives it.
    """
    with TemporaryDirectory(prefix="runbook-") as folder:
        made = Kernels(Path(folder))
        try:
            yield made
        finally:
            made.shut_down()
