"""
Notebooks one after the other: each in its warm kernel, watched, scanned for secrets, noted down.
"""

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runbook_lib.notebook.templates import Notebook
from runbook_lib.runner import values
from runbook_lib.runner.execution import Execution, execute
from runbook_lib.runner.interrupts import Stopper
from runbook_lib.runner.kernels import Kernel, Kernels
from runbook_lib.runner.masking import Masker, credentials_in_use, map_texts
from runbook_lib.runner.record import FAILED, INTERRUPTED, PASSED, Page, Run


def take_turns(
    run: Run, notebooks: list[Notebook], pool: Kernels, at_work: list[Stopper], timeout_s: float
) -> None:
    """
    Run the notebooks until one does not pass, and write the record and the report.

    While one is at work the kernel of the next one imports, and the page of the one before is
    drawn.
    """
    bodies: dict[str, Future[str]] = {}
    with ThreadPoolExecutor(1) as drawer:
        masker = Masker(credentials_in_use(str(run.parameters.get("credentials_file", ""))))
        try:
            for page, notebook, after in zip(
                run.pages, notebooks, [*notebooks[1:], None], strict=True
            ):
                kernel = pool.take(notebook)
                if after:
                    pool.warm_up(after)
                turn = _Turn(run, page, notebook, masker)
                turn.take(kernel, at_work, timeout_s)
                pool.release(kernel)
                bodies[page.name] = drawer.submit(_draw, turn.output)
                if page.verdict != PASSED:
                    break
            run.verdict = page.verdict
        except KeyboardInterrupt:
            run.verdict = INTERRUPTED
        run.write()
        drawer.submit(_report, run, {name: body.result() for name, body in bodies.items()}).result()


def _draw(executed: Path) -> str:
    from runbook_lib.runner import report  # noqa: PLC0415 - nbconvert takes seconds to import

    return report.notebook_body(executed)


def _report(run: Run, bodies: dict[str, str]) -> None:
    from runbook_lib.runner import report  # noqa: PLC0415 - as above

    report.write(run, bodies)


@dataclass(frozen=True)
class _Turn:
    run: Run
    page: Page
    notebook: Notebook
    masker: Masker

    @property
    def output(self) -> Path:
        return self.run.folder / f"{self.notebook.name}.ipynb"

    def take(self, kernel: Kernel, at_work: list[Stopper], timeout_s: float) -> None:
        print(f"\n{self.notebook.number} {self.notebook.title}", flush=True)
        stopper = Stopper(kernel, timeout_s)
        at_work.append(stopper)
        with _narrated() as on_cell:
            execution = execute(
                self.notebook.path,
                self.output,
                values.own(self.notebook, self.run.parameters),
                kernel,
                stopper,
                on_cell=on_cell,
            )
        at_work.remove(stopper)
        self._note(execution)
        self.run.write()
        print(f"   {self.page.tally}", flush=True)

    def _note(self, execution: Execution) -> None:
        page = self.page
        page.verdict, page.seconds, page.cell = execution.verdict, execution.seconds, execution.cell
        page.started = time.time() - execution.seconds
        page.error = self.masker.mask(execution.error)[0]
        activity: dict[str, Any] = map_texts(execution.activity, lambda t: self.masker.mask(t)[0])
        page.changes = activity.get("changes", [])
        page.checks = activity.get("checks", [])
        page.calls = activity.get("calls", {})
        page.notes = activity.get("notes", [])
        if leaks := self.masker.mask_notebook(self.output):
            page.verdict = FAILED
            page.error = (
                "expected no secret in the saved notebook; now masked there: " + "; ".join(leaks)
            ) + (f"\n{page.error}" if page.error else "")


@dataclass
class _Narrator:
    """
    One line a cell: its heading when it begins, its seconds when it ends.
    """

    since: float = field(default=0.0)

    def begin(self, heading: str) -> None:
        self.end()
        sys.stdout.write(f"   {heading:<60}")
        sys.stdout.flush()
        self.since = time.monotonic()

    def end(self) -> None:
        if self.since:
            print(f"{time.monotonic() - self.since:7.1f} s", flush=True)
        self.since = 0.0


@contextmanager
def _narrated() -> Iterator[Callable[[str], None]]:
    narrator = _Narrator()
    try:
        yield narrator.begin
    finally:
        narrator.end()
