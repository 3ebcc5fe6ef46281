"""
A headless run: notebooks in order, from a parameter file to a report.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook_lib.core.errors import StepFailedError
from runbook_lib.core.project import FOLDER_VARIABLE, new_folder
from runbook_lib.core.words import printable
from runbook_lib.notebook.templates import Notebook, find_notebooks, select_notebooks
from runbook_lib.runner.kernels import Stopper, interruptible, kernels
from runbook_lib.runner.record import INTERRUPTED, PASSED, Page, Run, get_unfinished, lock
from runbook_lib.runner.values import declared, load, own, read_arguments, resolve, take_notebooks


@dataclass(frozen=True)
class Request:
    """
    The parameters of a run.

    Parameters
    ----------
    only, first, last
        Numbers or names of notebooks. Default: the file's `notebooks`, or the family 00 to 09.
    given
        `name=value` texts that override the file.
    timeout_s
        Limit per notebook; its kernel is then interrupted, and killed if it does not stop.
    command
        The name of this program, for the command that resumes the run.
    """

    parameters_file: Path
    only: Sequence[str] = ()
    first: str = ""
    last: str = ""
    given: Sequence[str] = ()
    resume: bool = False
    timeout_s: float = 1800.0
    notebooks: Path = Path("notebooks")
    runs: Path = Path("runs")
    command: str = "runbook"


Stop = Callable[[str], bool]
Guard = Callable[[Mapping[str, Any], Stop], AbstractContextManager[object]]


def run_notebooks(request: Request, guard: Guard | None = None) -> Run:
    """
    Run the notebooks; the first failure ends the run.

    Parameters
    ----------
    guard
        Holds the cluster for this run, given the values of all parameters that its notebooks
        declare, and a function that stops the running notebook for a reason; False if none runs.
        For a run without a cluster in AWS, and for 00 alone, which only looks, it is not called.

    Raises ParameterError before anything runs, with every wrong parameter; AccessError if the AWS
    credentials have ended; ConflictError if another run uses the same cluster; StepFailedError with
    notebook, cell, error and the command that resumes, after writing the report; KeyboardInterrupt
    with the same message, after SIGINT or SIGTERM.
    """
    _, notebooks, given, values = _plan(request)
    if "credentials_file" in declared(notebooks):
        _say_how_long_credentials_last(str(values.get("credentials_file", "")))
    cluster = str(values.get("cluster", "run"))
    with (
        lock(request.runs, cluster),
        interruptible() as running,
        _guarded(guard, notebooks, values, running),
        kernels() as pool,
    ):
        record = Run(
            folder=new_folder(request.runs),
            parameters_file=str(request.parameters_file),
            given=given,
            parameters=values,
            pages=[Page(notebook.name, notebook.title) for notebook in notebooks],
        )
        print(f"{record.folder} · {record.parameters_file}", flush=True)
        record.write()
        pool.environment[FOLDER_VARIABLE] = str(record.folder.resolve())
        pool.warm_up(notebooks[0])
        # Imported here: papermill takes seconds, while the first kernel starts.
        from runbook_lib.runner.execution import execute_all  # noqa: PLC0415 - see above

        execute_all(record, notebooks, pool, running, request.timeout_s)
    _close(record, request)
    return record


def _say_how_long_credentials_last(credentials_file: str) -> None:
    from runbook_lib.core.credentials import lifetime  # noqa: PLC0415 - botocore takes its time

    life = lifetime(credentials_file)
    if life is not None and life.has_end:  # without any, the first notebook says so
        print(life, flush=True)


def _guarded(
    guard: Guard | None,
    notebooks: list[Notebook],
    values: Mapping[str, Any],
    running: list[Stopper],
) -> AbstractContextManager[object]:
    known = {name: p.default for name, p in declared(notebooks).items()} | {**values}
    if guard is None or not {"cluster", "region"} <= known.keys():
        return nullcontext()
    if [notebook.number for notebook in notebooks] == ["00"]:
        return nullcontext()

    def stop(reason: str) -> bool:
        for stopper in running[-1:]:
            stopper.stop(reason)
        return bool(running)

    return guard(known, stop)


def prepare(request: Request) -> Path:
    """
    Copy all notebooks with their values into a new folder, for a person; return the folder.

    Raises ParameterError as for `run_notebooks`.
    """
    everything, _, _, values = _plan(request)
    import papermill  # noqa: PLC0415 - takes seconds: not before the parameters are right

    folder = new_folder(request.runs, "-walkthrough")
    for notebook in everything:
        copy, given = folder / notebook.path.name, own(notebook, values)
        papermill.execute_notebook(notebook.path, copy, parameters=given, prepare_only=True)
    return folder


def _plan(
    request: Request,
) -> tuple[list[Notebook], list[Notebook], list[str], dict[str, Any]]:
    # all notebooks, those of this run, the `-p` values, and the value of every parameter
    everything = find_notebooks(request.notebooks)
    only, given = list(request.only), list(request.given)
    if request.resume:
        only, earlier = get_unfinished(request.runs, request.parameters_file)
        given = [*earlier, *given]
    problems: list[str] = []
    settings = load(request.parameters_file, problems)
    usual, first, last = take_notebooks(settings), request.first, request.last
    chosen = select_notebooks(everything, only=only, first=first, last=last, usual=usual)
    known = declared(everything)
    settings |= read_arguments(given, known, problems)
    values = resolve(settings, known, declared(chosen), problems)
    return everything, chosen, given, values


def _close(record: Run, request: Request) -> None:
    print()
    for page in record.pages:
        print(f"{page.name:<28} {page.tally}")
    print(f"{'total':<28} {record.verdict}, {record.seconds:.1f} s")
    print(f"report: {record.folder / 'report.html'}", flush=True)
    for note in (note for page in record.pages for note in page.notes):
        print(f"\n{printable(note['what'])}:\n  {printable(note['text'])}", flush=True)
    if record.verdict == PASSED:
        return
    page = next((p for p in record.pages if p.verdict != PASSED), record.pages[-1])
    where = f"{page.name}, under “{page.cell}”" if page.cell else page.name
    message = StepFailedError(
        f"the run {'was ' * (record.verdict == INTERRUPTED)}{record.verdict} in {where}",
        evidence=page.error,
        next_step=_resume(request, page.name),
    )
    if record.verdict == INTERRUPTED:
        raise KeyboardInterrupt(str(message))
    raise message


def _resume(request: Request, name: str) -> str:
    words = [*request.command.split(), "run", str(request.parameters_file)]
    if request.only or request.resume:
        words += ["--resume"]
    else:
        words += ["--from", name[:2]]
        words += ["--to", request.last] if request.last else []
        for text in request.given:
            words += ["-p", text]
    return shlex.join(words)
