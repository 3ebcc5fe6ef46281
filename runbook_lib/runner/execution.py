"""
The notebooks of a run, in sequence: executed by papermill with a timeout, interruptible, searched
for secrets and recorded. A failure is one message.
"""

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import papermill
from nbformat import NotebookNode

from runbook_lib.core.checks import SUMMARY_MIME
from runbook_lib.notebook.templates import Notebook, heading_above
from runbook_lib.runner.cell_lines import CellLines, earlier_seconds
from runbook_lib.runner.kernels import Kernel, Kernels, Stopper
from runbook_lib.runner.masking import Masker, known_secrets, map_texts
from runbook_lib.runner.record import FAILED, INTERRUPTED, PASSED, Page, Run
from runbook_lib.runner.terminal import coloured, fit, width
from runbook_lib.runner.values import own

START_TIMEOUT_S = 120
"""Time for a kernel to start and import; a slow machine needs 15 s."""

IOPUB_TIMEOUT_S = 60
"""Time for the last output after a cell ends; nbclient's 4 s are too short on a busy machine."""

OnCell = Callable[[str, int, NotebookNode], None]

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Execution:
    """
    The outcome of one notebook; `cell` is the heading above the cell that failed.
    """

    verdict: str
    seconds: float
    cell: str = ""
    error: str = ""
    activity: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Position:
    """
    The cell being executed; papermill calls these methods.
    """

    on_cell: OnCell
    stopper: Stopper
    cells: list[tuple[str, str]] = field(default_factory=list)
    index: int = 0

    @property
    def heading(self) -> str:
        return heading_above(self.cells, self.index)

    def begin(self, notebook: NotebookNode) -> None:
        self.cells = [(cell.cell_type, cell.source) for cell in notebook.cells]

    def enter(self, cell: NotebookNode, cell_index: int) -> None:
        self.index = cell_index
        if self.stopper.reason:
            raise KeyboardInterrupt
        if "injected-parameters" not in cell.metadata.tags:
            self.on_cell(self.heading, cell_index, cell)


def execute(
    source: Path,
    output: Path,
    parameters: dict[str, Any],
    kernel: Kernel,
    stopper: Stopper,
    *,
    on_cell: OnCell,
) -> Execution:
    """
    Execute a template into `output`, which is always saved.

    Parameters
    ----------
    on_cell
        Called with the heading above each code cell, its index and the cell, just before it runs.
    """
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # we raise its errors
    position = _Position(on_cell, stopper)
    started = time.monotonic()
    error = ""
    try:
        notebook = papermill.execute_notebook(
            source,
            output,
            parameters=parameters,
            km=kernel.manager,
            start_timeout=START_TIMEOUT_S,
            iopub_timeout=IOPUB_TIMEOUT_S,
            progress_bar=False,
            on_notebook_start=position.begin,
            on_cell_execute=position.enter,
        )
        error = _unfinished(notebook)
    except papermill.PapermillExecutionError as failure:
        position.index = failure.cell_index
        error = _message(failure)
    except (RuntimeError, TimeoutError, KeyboardInterrupt) as failure:
        # the kernel died, or does not respond
        error = f"{type(failure).__name__}: {failure}" if str(failure) else "between two cells"
        _save_error(output, position.index, error)
    finally:
        stopper.cancel()
    seconds = time.monotonic() - started
    if not error:
        return Execution(PASSED, seconds, activity=_find_activity(notebook))
    if stopper.reason:
        error = "\n".join([stopper.reason, *error.splitlines()[1:]])
        _shorten_interrupt(output, error)
    verdict = INTERRUPTED if stopper.reason == INTERRUPTED else FAILED
    return Execution(verdict, seconds, position.heading, error, kernel.activity())


def _save_error(output: Path, index: int, error: str) -> None:
    # papermill adds no error to the saved notebook if the kernel died
    name, _, value = error.partition(": ")
    shown = {"output_type": "error", "ename": name, "evalue": value, "traceback": [error]}
    with _edited(output) as cells:
        next(c for c in cells[index:] if c["cell_type"] == "code")["outputs"].append(shown)


def _shorten_interrupt(output: Path, error: str) -> None:
    # Python's own trace leads through files of this machine, and says nothing of the reason
    with _edited(output) as cells:
        for shown in (output for cell in cells for output in cell.get("outputs", [])):
            if shown.get("ename") == "KeyboardInterrupt":
                shown["traceback"] = [error]


@contextmanager
def _edited(page: Path) -> Iterator[list[dict[str, Any]]]:
    notebook = json.loads(page.read_text(encoding="utf-8"))
    yield notebook["cells"]
    page.write_text(json.dumps(notebook, indent=1, ensure_ascii=False), encoding="utf-8")


def _message(failure: papermill.PapermillExecutionError) -> str:
    # the message of a RunbookError is enough; another error needs the lines that raised it
    message = f"{failure.ename}: {_ANSI.sub('', failure.evalue)}"
    trace = _ANSI.sub("", "\n".join(failure.traceback))
    arrows = [line.strip() for line in trace.splitlines() if re.match(r"\s*-+> \d", line)]
    return "\n".join([message, *dict.fromkeys([*arrows[:1], *arrows[-1:]])])


def _unfinished(notebook: NotebookNode) -> str:
    # papermill counts `exit()` in a cell as success and skips the rest; we do not
    names = [o.ename for o in _outputs(notebook) if o.output_type == "error"]
    return f"{names[0]}: the notebook ended before its last cell" if names else ""


def _find_activity(notebook: NotebookNode) -> dict[str, Any]:
    kept = [o.data[SUMMARY_MIME] for o in _outputs(notebook) if SUMMARY_MIME in o.get("data", {})]
    return dict(kept[-1]) if kept else {}


def _outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def execute_all(
    run: Run, notebooks: list[Notebook], pool: Kernels, running: list[Stopper], timeout_s: float
) -> dict[str, str]:
    """
    Execute notebooks up to the first failure, write the record, and return them as HTML, by name.

    Meanwhile the next notebook's kernel imports, and the previous notebook is converted to HTML.
    """
    bodies: dict[str, Future[str]] = {}
    with ThreadPoolExecutor(1) as drawer:
        masker = Masker(known_secrets(run.parameters))
        try:
            following = [*notebooks[1:], None]
            for page, notebook, after in zip(run.pages, notebooks, following, strict=True):
                kernel = pool.take(notebook)
                if after:
                    pool.warm_up(after)
                print("\n" + fit(f"{notebook.number} {notebook.title}", width()), flush=True)
                output = run.folder / f"{notebook.name}.ipynb"
                values = own(notebook, run.parameters)
                running.append(Stopper(kernel, timeout_s))
                with CellLines(earlier_seconds(run.folder.parent, notebook.name)) as lines:
                    execution = execute(
                        notebook.path, output, values, kernel, running[-1], on_cell=lines.begin
                    )
                running.pop()
                _record(execution, page, masker, output)
                run.write()
                print(coloured(fit(f"   {page.tally}", width()), page.verdict), flush=True)
                pool.release(kernel)
                bodies[page.name] = drawer.submit(_draw, output)
                if page.verdict != PASSED:
                    break
            run.verdict = page.verdict
        except KeyboardInterrupt:
            run.verdict = INTERRUPTED
        return {name: body.result() for name, body in bodies.items()}


def _record(execution: Execution, page: Page, masker: Masker, output: Path) -> None:
    page.verdict, page.seconds, page.cell = execution.verdict, execution.seconds, execution.cell
    page.started = time.time() - execution.seconds
    page.error = masker.mask(execution.error)[0]
    activity: dict[str, Any] = map_texts(execution.activity, lambda t: masker.mask(t)[0])
    for kind, entries in activity.items():  # changes, checks, calls, notes
        setattr(page, kind, entries)
    if secrets := masker.mask_notebook(output):
        page.verdict = FAILED
        found = f"expected no secret in the saved notebook; now masked there: {'; '.join(secrets)}"
        page.error = "\n".join(filter(None, [found, page.error]))


def _draw(executed: Path) -> str:
    from runbook_lib.runner import report  # noqa: PLC0415 - nbconvert takes seconds to import

    return report.notebook_body(executed)
