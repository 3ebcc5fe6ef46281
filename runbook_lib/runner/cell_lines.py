"""
One line per cell of a run: its heading when it begins, its seconds when it ends.

Meanwhile a long cell says on a terminal each second, and in a log each minute, what the line of
progress in its output says, and how long it will still take: by that progress, or by the last run.
"""

import html
import json
import re
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from markupsafe import Markup

from runbook_lib.core.secret_shapes import without_secrets
from runbook_lib.core.words import printable
from runbook_lib.runner.record import PASSED
from runbook_lib.runner.story import duration
from runbook_lib.runner.terminal import coloured, fit, is_terminal, width

LOG_EVERY_S = 60.0
_PROGRESS = Markup("<p>")
"""How a line of `core/progress` begins."""
_BAR = re.compile(r'<progress value="?(\d+)"? max="?(\d+)"?>')


class CellLines:
    """
    A context manager for the cells of one notebook; `earlier` are their seconds in the last run.
    """

    def __init__(self, earlier: Sequence[float] = ()) -> None:
        self._earlier = earlier
        self._live = is_terminal()
        self._heading, self._index, self._began = "", 0, 0.0
        self._cell: Mapping[str, Any] = {}
        self._over = threading.Event()
        self._lock = threading.Lock()  # a line is written by the runner or by the clock
        self._clock = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> "CellLines":
        self._clock.start()
        return self

    def begin(self, heading: str, index: int, cell: Mapping[str, Any]) -> None:
        """
        End the line of the cell before, and begin that of this one.
        """
        with self._lock:
            self._end()
            self._heading, self._index, self._cell = heading, index, cell
            self._began = time.monotonic()
            print(f"   {self._padded(heading)}", end="", flush=True)

    def _padded(self, text: str) -> str:
        columns = min(60, width() - 14)
        return fit(text, columns).ljust(columns)

    def _end(self) -> None:
        if self._began:
            again = f"\r\x1b[K   {self._padded(self._heading)}" if self._live else ""
            print(f"{again}{time.monotonic() - self._began:7.1f} s", flush=True)
            self._began = 0.0

    def _tick(self) -> None:
        every = 1.0 if self._live else LOG_EVERY_S
        while not self._over.wait(every):
            with self._lock:
                if not self._began or time.monotonic() - self._began < every:
                    continue
                spent = time.monotonic() - self._began
                state = ", ".join(filter(None, [duration(spent), self._left(spent), self._seen()]))
                if self._live:
                    line = fit(f"   {self._heading}: {state}", width() - 1)
                    print(f"\r\x1b[K{coloured(line, 'soft')}", end="", flush=True)
                else:
                    print(f"\n      {state:<57}", end="", flush=True)

    def _left(self, spent: float) -> str:
        bar = _BAR.search(self._progress())
        done, total = map(int, bar.groups()) if bar else (0, 0)
        left = 0.0
        if 0 < done < total:
            left = spent * (total - done) / done
        elif not total and self._index < len(self._earlier):
            left = self._earlier[self._index] - spent
        return f"about {duration(max(1, round(left)))} left" if left > 0 else ""

    def _seen(self) -> str:
        text = html.unescape(re.sub(r"<[^>]*>", "", self._progress())).strip()
        return printable(without_secrets(text)[0])

    def _progress(self) -> str:
        # nbclient writes outputs into the cell while it runs; the last is what works now
        with suppress(IndexError, KeyError, AttributeError):
            shown = self._cell["outputs"][-1]["data"]["text/html"]
            text = "".join(shown)[:1000]
            return text if text.startswith(_PROGRESS) else ""
        return ""

    def __exit__(
        self, kind: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None
    ) -> None:
        self._over.set()
        with self._lock:
            self._end()


def earlier_seconds(runs: Path, name: str) -> list[float]:
    """
    Return the seconds of each cell in the last run that passed this notebook; none if it is new.
    """
    for path in sorted(runs.glob(f"*/{name}.ipynb"), reverse=True)[:20]:
        with suppress(OSError, ValueError, KeyError, TypeError, StopIteration):
            record = json.loads((path.parent / "run.json").read_text(encoding="utf-8"))
            page = next(page for page in record["pages"] if page["name"] == name)
            if page["verdict"] == PASSED:
                cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
                return [float(c["metadata"]["papermill"]["duration"] or 0) for c in cells]
    return []
