"""
The notebooks of a run, one after the other: executed, searched for secrets, recorded, reported.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from runbook_lib.notebook.templates import Notebook
from runbook_lib.runner.execution import Execution, execute
from runbook_lib.runner.interrupts import Stopper
from runbook_lib.runner.kernels import Kernels
from runbook_lib.runner.masking import Masker, credentials_in_use, map_texts
from runbook_lib.runner.record import FAILED, INTERRUPTED, PASSED, Page, Run
from runbook_lib.runner.values import own


def execute_all(
    run: Run, notebooks: list[Notebook], pool: Kernels, running: list[Stopper], timeout_s: float
) -> None:
    """
    Execute notebooks until one does not pass, and write the record and the report.

    Meanwhile the kernel of the next notebook imports, and the one before is turned into HTML.
    """
    bodies: dict[str, Future[str]] = {}
    with ThreadPoolExecutor(1) as drawer:
        masker = Masker(credentials_in_use(str(run.parameters.get("credentials_file", ""))))
        try:
            following = [*notebooks[1:], None]
            for page, notebook, after in zip(run.pages, notebooks, following, strict=True):
                kernel = pool.take(notebook)
                if after:
                    pool.warm_up(after)
                print(f"\n{notebook.number} {notebook.title}", flush=True)
                output = run.folder / f"{notebook.name}.ipynb"
                values = own(notebook, run.parameters)
                running.append(Stopper(kernel, timeout_s))
                with _cell_lines() as on_cell:
                    execution = execute(
                        notebook.path, output, values, kernel, running[-1], on_cell=on_cell
                    )
                running.pop()
                _record(execution, page, masker, output)
                run.write()
                print(f"   {page.tally}", flush=True)
                pool.release(kernel)
                bodies[page.name] = drawer.submit(_draw, output)
                if page.verdict != PASSED:
                    break
            run.verdict = page.verdict
        except KeyboardInterrupt:
            run.verdict = INTERRUPTED
        run.write()
        drawer.submit(_report, run, {name: body.result() for name, body in bodies.items()}).result()


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


def _report(run: Run, bodies: dict[str, str]) -> None:
    from runbook_lib.runner import report  # noqa: PLC0415 - as above

    report.write(run, bodies)


@contextmanager
def _cell_lines() -> Iterator[Callable[[str], None]]:
    # one line a cell: its heading when it begins, its seconds when it ends
    began = 0.0

    def end() -> None:
        if began:
            print(f"{time.monotonic() - began:7.1f} s", flush=True)

    def begin(heading: str) -> None:
        nonlocal began
        end()
        print(f"   {heading:<60}", end="", flush=True)
        began = time.monotonic()

    try:
        yield begin
    finally:
        end()
