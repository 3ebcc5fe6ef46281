"""
A headless run: notebooks in order, from a parameter file to a report.
"""

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from runbook_lib.core.errors import StepFailedError
from runbook_lib.core.project import FOLDER_VARIABLE, new_folder
from runbook_lib.core.words import printable
from runbook_lib.notebook.templates import Notebook, find_notebooks, select_notebooks
from runbook_lib.runner.kernels import Stopper, interruptible, kernels
from runbook_lib.runner.record import INTERRUPTED, PASSED, Page, Run, digest, get_unfinished, lock
from runbook_lib.runner.story import failure, headline, message, stopped_at
from runbook_lib.runner.telling import is_url, refuse_untellable, tell
from runbook_lib.runner.terminal import coloured, fit, width
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
    tell
        A URL, or a program with its arguments, that is told how the run ended; "" for none.
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
    tell: str = ""


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
    everything, notebooks, given, values = _plan(request)
    refuse_untellable(request.tell)
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
            pages=[Page(n.name, n.title, template=digest(n.path)) for n in notebooks],
            give_back=_give_back(request, given, everything, notebooks),
        )
        print(f"{record.folder} · {record.parameters_file}", flush=True)
        record.write()
        bodies: dict[str, str] = {}
        try:
            pool.environment[FOLDER_VARIABLE] = str(record.folder.resolve())
            pool.warm_up(notebooks[0])
            # Imported here: papermill takes seconds, while the first kernel starts.
            from runbook_lib.runner.execution import execute_all  # noqa: PLC0415 - see above

            bodies = execute_all(record, notebooks, pool, running, request.timeout_s)
        except KeyboardInterrupt:
            record.verdict = INTERRUPTED
    record.resume = _resume(request, record)
    _close(record, bodies)
    if request.tell:
        _tell(request.tell, record)
    if record.verdict == PASSED:
        return record
    page = stopped_at(record) or record.pages[-1]
    end = StepFailedError(failure(record), evidence=page.error, next_step=record.resume)
    if record.verdict == INTERRUPTED:
        raise KeyboardInterrupt(str(end))
    raise end


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
    if guard is None or not _uses_cluster(notebooks):
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


def _close(record: Run, bodies: dict[str, str]) -> None:
    from runbook_lib.runner import report  # noqa: PLC0415 - nbconvert takes seconds to import

    record.write()
    report.write(record, bodies)
    record.close()
    columns = width()
    print()
    for page in record.pages:
        line = fit(f"{page.name:<28} {page.tally}", columns)
        print(coloured(line, page.verdict or "soft"))
    print(fit(headline(record), columns))
    print(f"report: {record.folder / 'report.html'}", flush=True)
    for note in (note for page in record.pages for note in page.notes):
        print(f"\n{printable(note['what'])}:\n  {printable(note['text'])}", flush=True)
    if record.give_back:
        print(f"\nto stop paying:\n  {record.give_back}", flush=True)


def _tell(what: str, record: Run) -> None:
    from runbook_lib.runner.masking import (  # noqa: PLC0415 - so does papermill
        Masker,
        known_secrets,
        map_texts,
    )

    masker = Masker(known_secrets(record.parameters))
    reason = tell(what, map_texts(message(record), lambda text: masker.mask(text)[0]))
    told = f"nobody was told of it: {reason}" if reason else "told, as --tell asks"
    print(f"\n{told}", flush=True)


def _resume(request: Request, record: Run) -> str:
    # with every option that was given, but not --take-over: who took the lock holds it, and who
    # lost it to another should not take it back unasked
    page = stopped_at(record)
    if page is None:
        return ""
    words = [*request.command.split(), "run", str(request.parameters_file)]
    if request.only or request.resume:
        left = record.pages[record.pages.index(page) :]
        words += ["--only", *(one.name[:2] for one in left)]
    else:
        words += ["--from", page.name[:2]]
        words += ["--to", request.last] if request.last else []
    return shlex.join(words + _options(request, record.given))


def _options(request: Request, given: list[str]) -> list[str]:
    words = [word for text in given for word in ("-p", text)]
    plain = Request(request.parameters_file)
    for option, value, usual in (
        ("--runs", request.runs, plain.runs),
        ("--notebooks", request.notebooks, plain.notebooks),
        ("--timeout", f"{request.timeout_s:g}", f"{plain.timeout_s:g}"),
        ("--tell", _program(request.tell), ""),
    ):
        words += [option, str(value)] if value != usual else []
    return words


def _program(told: str) -> str:
    # a URL may itself be a secret, and the command stands in the report; the variable goes on by
    # itself
    return "" if is_url(told) or told == os.environ.get("RUNBOOK_TELL") else told


def _give_back(
    request: Request, given: list[str], everything: list[Notebook], chosen: list[Notebook]
) -> str:
    # 90 undoes all; a run that builds or uses nothing in AWS, or that ends with it, costs nothing
    if not _uses_cluster(chosen) or chosen[-1].number == "90":
        return ""
    undo = next((n for n in everything if n.number == "90"), None)
    if undo is None:
        return ""
    known = declared([undo])
    own_values = [text for text in given if text.partition("=")[0] in known]
    words = [*request.command.split(), "run", str(request.parameters_file), "--only", "90"]
    return shlex.join(words + _options(replace(request, tell=""), own_values))


def _uses_cluster(notebooks: list[Notebook]) -> bool:
    only_looks = [notebook.number for notebook in notebooks] == ["00"]
    return {"cluster", "region"} <= declared(notebooks).keys() and not only_looks
