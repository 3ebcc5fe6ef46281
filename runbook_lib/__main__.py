"""
The command line: `runbook run | walkthrough | prepare | list | map`.
"""

import argparse
import signal
import sys
from pathlib import Path

from runbook_lib.core.errors import RunbookError
from runbook_lib.notebook.templates import as_table, find_notebooks, write_map
from runbook_lib.runner.headless import Request, prepare, run
from runbook_lib.runner.walkthrough import open_jupyterlab

_INTERRUPTED = 128 + signal.SIGINT


def main(arguments: list[str] | None = None) -> int:
    """
    Run the command; 0 where all is well, 1 after an error, 130 after an interrupt.
    """
    given = sys.argv[1:] if arguments is None else arguments
    end = given.index("--") if "--" in given else len(given)
    options = _parser().parse_args(given[:end])
    try:
        _act(options, given[end + 1 :])
    except RunbookError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print(f"\n{interrupt or 'interrupted'}", file=sys.stderr)
        return _INTERRUPTED
    return 0


def _act(options: argparse.Namespace, of_jupyterlab: list[str]) -> None:
    if options.command == "list":
        print(as_table(find_notebooks(options.notebooks)), end="")
    elif options.command == "map":
        changed = write_map(options.write, find_notebooks(options.notebooks))
        print(f"{options.write}: {'written' if changed else 'no changes'}")
    else:
        request = Request(
            parameters_file=options.parameters_file,
            given=tuple(options.p),
            notebooks=options.notebooks,
            runs=options.runs,
            only=tuple(getattr(options, "only", ())),
            first=getattr(options, "first", ""),
            last=getattr(options, "last", ""),
            resume=getattr(options, "resume", False),
            timeout_s=getattr(options, "timeout", 0.0),
            command=sys.argv[0] if sys.argv[0].endswith("runbook") else "python -m runbook_lib",
        )
        if options.command == "run":
            run(request)
        elif options.command == "prepare":
            print(prepare(request))
        else:
            open_jupyterlab(prepare(request), of_jupyterlab)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("runbook", description=__doc__)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--notebooks", type=Path, default=Path("notebooks"), metavar="DIR")
    commands = parser.add_subparsers(dest="command", required=True)

    valued = argparse.ArgumentParser(add_help=False, parents=[common])
    valued.add_argument("parameters_file", type=Path, help="such as params/lab.yml")
    valued.add_argument(
        "-p", action="append", default=[], metavar="NAME=VALUE", help="goes before the file's"
    )
    valued.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR")

    run = commands.add_parser("run", parents=[valued], help="run notebooks headless, to a report")
    run.add_argument(
        "--only", nargs="+", action="extend", default=[], metavar="NN", help="just these, in order"
    )
    run.add_argument("--from", dest="first", default="", metavar="NN", help="begin here")
    run.add_argument("--to", dest="last", default="", metavar="NN", help="end here")
    run.add_argument("--resume", action="store_true", help="what the last run left to do")
    run.add_argument(
        "--timeout", type=float, default=1800.0, metavar="S", help="for each notebook (1800)"
    )
    commands.add_parser("prepare", parents=[valued], help="copies with these values, for a person")
    commands.add_parser(
        "walkthrough",
        parents=[valued],
        help="JupyterLab on such copies; what follows -- goes to JupyterLab",
    )
    commands.add_parser("list", parents=[common], help="the map of the notebooks")
    write = commands.add_parser("map", parents=[common], help="put the map into a page")
    write.add_argument("--write", type=Path, required=True, metavar="README.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
