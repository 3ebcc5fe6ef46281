"""
The command line of the runbook: run its notebooks, prepare them for a person, look at runs.
"""

import os
import signal
import sys
from types import FrameType
from typing import Any

_INTERRUPTED = 128 + signal.SIGINT


def _end_at_once(_number: int, _frame: FrameType | None) -> None:
    # while modules are imported there is nothing to restore, and some of them would swallow an
    # exception, or end in a trace
    os.write(2, b"\ninterrupted\n")
    os._exit(_INTERRUPTED)


if __name__ == "__main__" or sys.argv[0].endswith("runbook"):
    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, _end_at_once)

# after it: these take the time in which a person changes their mind
import argparse
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import fields
from functools import partial

from runbook_lib.core.errors import ParameterError, RunbookError
from runbook_lib.core.secret_shapes import without_secrets
from runbook_lib.core.words import printable
from runbook_lib.notebook.templates import find_notebooks, write_map
from runbook_lib.runner import arguments as syntax
from runbook_lib.runner import history, seal, terminal
from runbook_lib.runner.headless import Request, Stop, prepare, run_notebooks
from runbook_lib.runner.walkthrough import open_jupyterlab


def main(arguments: list[str] | None = None) -> int:
    """
    Run the command; return 0, 1 after an error, or 130 after an interrupt.

    `plan` returns 2 if there are changes, and `sweep` if something is past its expiry and stays.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is _end_at_once:
            signal.signal(number, signal.default_int_handler)
    given = sys.argv[1:] if arguments is None else arguments
    end = given.index("--") if "--" in given else len(given)
    try:
        options = syntax.parser(__doc__ or "").parse_args(given[:end])
        return _act(options, given[end + 1 :])
    except RunbookError as error:
        message = without_secrets(str(error))[0]
        print(f"\n{terminal.coloured(message, 'failed', sys.stderr)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        message = terminal.coloured(str(interrupt) or "interrupted", "interrupted", sys.stderr)
        print(f"\n{message}", file=sys.stderr)
        return _INTERRUPTED


def _act(options: argparse.Namespace, of_jupyterlab: list[str]) -> int:
    if options.command == "list":
        found = find_notebooks(options.notebooks)
        rows = [(n.name, n.title, n.facts.get("Takes", "").split(",")[0]) for n in found]
        print(terminal.aligned(["notebook", "what is true after it", "takes"], rows))
    elif options.command == "map":
        changed = write_map(options.write, find_notebooks(options.notebooks))
        print(f"{options.write}: {'written' if changed else 'no changes'}")
    elif options.command == "plan":
        return _plan(options)
    elif options.command == "sweep":
        return _sweep(options)
    elif options.command == "runs":
        print(history.runs_text(options.runs, options.last))
    elif options.command == "verify":
        proof = seal.verify(options.run, options.notebooks)
        print(proof)
        return int(not proof.holds)
    elif options.command == "history":
        # imported here: the SDKs take a second
        from runbook_lib.stacks.commands import history_text, read_values  # noqa: PLC0415

        print(history_text(read_values(options.parameters_file, options.given, options.notebooks)))
    else:
        names = {field.name for field in fields(Request)}
        values = {name: value for name, value in vars(options).items() if name in names}
        program = sys.argv[0] if sys.argv[0].endswith("runbook") else "python -m runbook_lib"
        request = Request(**values | {"command": program})
        if options.command == "run":
            run_notebooks(request, partial(_hold, take_over=options.take_over))
        elif options.command == "prepare":
            print(prepare(request))
        else:
            open_jupyterlab(prepare(request), of_jupyterlab)
    return 0


def _hold(
    values: Mapping[str, Any], stop: Stop, *, take_over: bool
) -> AbstractContextManager[object]:
    # imported here: the SDK takes a second
    from runbook_lib.cloud.aws import Place  # noqa: PLC0415
    from runbook_lib.cloud.holding import held  # noqa: PLC0415

    keys = ("region", "endpoint_url", "credentials_file")
    place = Place(*(str(values.get(key, "")) for key in keys))
    return held(place, str(values["cluster"]), stop, take_over=take_over)


def _plan(options: argparse.Namespace) -> int:
    # imported here: the SDKs take a second
    from runbook_lib.stacks.plan_command import apply_saved, show_plan  # noqa: PLC0415

    if bool(options.apply) == bool(options.parameters_file):
        raise ParameterError(
            "expected either a parameter file or --apply",
            next_step="runbook plan params/lab.yml --save plan.json",
        )
    if options.apply:
        print(apply_saved(options.apply, options.notebooks))
        return 0
    plan = show_plan(options.parameters_file, options.given, options.notebooks, options.save)
    return 0 if plan.is_empty else 2


def _sweep(options: argparse.Namespace) -> int:
    # imported here: the SDKs take a second
    from runbook_lib.cloud import aws, sweep  # noqa: PLC0415
    from runbook_lib.stacks.commands import read_values  # noqa: PLC0415

    needed = ("cluster", "region", "endpoint_url", "credentials_file")
    values = read_values(options.parameters_file, options.given, options.notebooks, needed)
    place = aws.Place(values["region"], values["endpoint_url"], values["credentials_file"])
    found = sweep.find_clusters(place)
    print(found)
    ours = [one for one in found.past if options.everybody or one.cluster == values["cluster"]]
    if options.remove and ours:
        for one in ours:
            try:
                told = repr(sweep.remove_past(place, one))
            except RunbookError as error:  # the others can be removed
                told = str(error)
            print(f"\n{one.region}  {printable(one.cluster)}:\n{told}")
        found = sweep.find_clusters(place)
        print(f"\nleft:\n{found}")
    return 2 if found.past else 0


if __name__ == "__main__":
    sys.exit(main())
