"""
One line of progress during a long operation in a notebook; silent elsewhere.

Parallel work has one line, from the main thread: a line per thread would add nothing. The line of
an operation that took less than a second goes to the next one in the same cell, so that ten
lines of 0.1 s do not pile up.
"""

import threading
import time
from types import TracebackType

from IPython.core.getipython import get_ipython
from IPython.display import HTML, DisplayHandle, display
from markupsafe import Markup

_SHORT_S = 1.0
_FREE: dict[int, DisplayHandle] = {}
"""The line of the last operation, if it was short, by the number of its cell."""


class Progress:
    """
    A context manager; at the end its line says how long the work took.

    Parameters
    ----------
    what
        The operation, for example "Docker installed on every instance".
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._started = self._shown = time.monotonic()
        self._handle: DisplayHandle | None = None
        self._cell = 0

    def __enter__(self) -> "Progress":
        shell = get_ipython()
        if shell is not None and threading.current_thread() is threading.main_thread():
            self._cell, line = shell.execution_count, HTML(self._line("…"))
            if free := _FREE.pop(self._cell, None):
                self._handle = free
                free.update(line)
            else:
                self._handle = display(line, display_id=True)
        return self

    def update(self, seen: str, done: int = 0, total: int = 0) -> None:
        """
        Update the displayed state, at most five times a second.
        """
        now = time.monotonic()
        if self._handle is None or now - self._shown < 0.2:
            return
        self._shown = now
        bar = Markup("<progress value={:d} max={:d}></progress> ").format(done, total)
        self._handle.update(HTML(self._line((bar if total else Markup()) + seen)))

    def _line(self, state: str) -> Markup:
        seconds = time.monotonic() - self._started
        line = Markup("<p>{}: {} <small>{:.0f} s</small></p>")
        return line.format(self.what, state, seconds)

    def __exit__(
        self, kind: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None
    ) -> None:
        if self._handle is None:
            return
        seconds = time.monotonic() - self._started
        state = f"done in {seconds:.1f} s" if kind is None else f"stopped after {seconds:.1f} s"
        self._handle.update(HTML(Markup("<p>{}: {}</p>").format(self.what, state)))
        _FREE.clear()
        if kind is None and seconds < _SHORT_S:
            _FREE[self._cell] = self._handle
