"""
The command line: `runbook run | walkthrough | prepare | plan | history | sweep | list | map`.
"""

import argparse
import signal
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from runbook_lib.core.errors import ParameterError, RunbookError
from runbook_lib.core.secret_shapes import without_secrets
from runbook_lib.core.words import printable
from runbook_lib.notebook.templates import as_table, find_notebooks, write_map
from runbook_lib.runner.headless import Request, Stop, prepare, run_notebooks
from runbook_lib.runner.walkthrough import open_jupyterlab

_INTERRUPTED = 128 + signal.SIGINT


def main(arguments: list[str] | None = None) -> int:
    """
    Run the command; return 0, 1 after an error, or 130 after an interrupt.

    `plan` returns 2 if there are changes, and `sweep` if something is past its expiry and stays.
    """
    given = sys.argv[1:] if arguments is None else arguments
    end = given.index("--") if "--" in given else len(given)
    options = _parser().parse_args(given[:end])
    try:
        return _act(options, given[end + 1 :])
    except RunbookError as error:
        print(f"\n{without_secrets(str(error))[0]}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print(f"\n{interrupt or 'interrupted'}", file=sys.stderr)
        return _INTERRUPTED


def _act(options: argparse.Namespace, of_jupyterlab: list[str]) -> int:
    if options.command == "list":
        print(as_table(find_notebooks(options.notebooks)), end="")
    elif options.command == "map":
        changed = write_map(options.write, find_notebooks(options.notebooks))
        print(f"{options.write}: {'written' if changed else 'no changes'}")
    elif options.command == "plan":
        return _plan(options)
    elif options.command == "sweep":
        return _sweep(options)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("runbook", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--notebooks", type=Path, default=Path("notebooks"), metavar="DIR")
    commands = parser.add_subparsers(dest="command", required=True)

    valued = argparse.ArgumentParser(add_help=False, parents=[common])
    valued.add_argument("parameters_file", type=Path, help="for example params/lab.yml")
    valued.add_argument(
        "-p",
        dest="given",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="overrides the file",
    )
    valued.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR")

    run = commands.add_parser("run", parents=[valued], help="run notebooks and write a report")
    run.add_argument(
        "--only",
        nargs="+",
        action="extend",
        default=[],
        metavar="NN",
        help="only these, in this order",
    )
    run.add_argument(
        "--from", dest="first", default="", metavar="NN", help="start with this notebook"
    )
    run.add_argument("--to", dest="last", default="", metavar="NN", help="end with this notebook")
    run.add_argument(
        "--resume", action="store_true", help="the notebooks that the last run did not finish"
    )
    run.add_argument(
        "--take-over",
        action="store_true",
        help="take the cluster's lock from another run, which then stops",
    )
    run.add_argument(
        "--timeout",
        dest="timeout_s",
        type=float,
        default=1800.0,
        metavar="S",
        help="seconds for each notebook (1800)",
    )
    commands.add_parser(
        "prepare", parents=[valued], help="copy the notebooks with these values set"
    )
    commands.add_parser(
        "walkthrough",
        parents=[valued],
        help="open JupyterLab on such copies; arguments after -- are passed to it",
    )
    commands.add_parser(
        "history", parents=[valued], help="print the deployments that the Swarm keeps of a stack"
    )
    sweep = commands.add_parser(
        "sweep",
        parents=[common],
        help="list the clusters of every region; exit code 2: some are past their expiry",
    )
    sweep.add_argument("parameters_file", type=Path, help="for example params/lab.yml")
    sweep.add_argument("-p", dest="given", action="append", default=[], metavar="NAME=VALUE")
    sweep.add_argument(
        "--remove", action="store_true", help="remove the file's cluster where it is past"
    )
    sweep.add_argument(
        "--everybody", action="store_true", help="with --remove: every cluster that is past"
    )
    plan = commands.add_parser(
        "plan",
        parents=[common],
        help="print what 06 would change; exit code 2: changes",
    )
    plan.add_argument("parameters_file", type=Path, nargs="?", help="for example params/lab.yml")
    plan.add_argument("-p", dest="given", action="append", default=[], metavar="NAME=VALUE")
    plan.add_argument("--save", type=Path, metavar="FILE", help="save the plan, without secrets")
    plan.add_argument(
        "--apply", type=Path, metavar="FILE", help="apply a saved plan; refused if anything moved"
    )
    commands.add_parser("list", parents=[common], help="print the map of the notebooks")
    write = commands.add_parser("map", parents=[common], help="write the map into a page")
    write.add_argument("--write", type=Path, required=True, metavar="README.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
