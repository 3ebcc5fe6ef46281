"""
The arguments of the command line, with an example for each command.
"""

import argparse
import os
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

EXAMPLES = {
    "": "runbook list\nrunbook run params/lab.yml\nrunbook run params/lab.yml --only 90",
    "run": "runbook run params/lab.yml\n"
    "runbook run params/aws.yml --from 06 --to 07 -p batch=300\n"
    "runbook run params/lab.yml --only 11 12 -p recording=runs/2026-01-31T10-00-00Z\n"
    "runbook run params/lab.yml --tell 'mail -s runbook you@example.org'",
    "walkthrough": "runbook walkthrough params/lab.yml -- --no-browser --port 8899",
    "prepare": "runbook prepare params/lab.yml -p worker_count=2",
    "runs": "runbook runs --last 5",
    "verify": "runbook verify runs/2026-01-31T10-00-00Z",
    "history": "runbook history params/lab.yml",
    "plan": "runbook plan params/lab.yml --save plan.json\nrunbook plan --apply plan.json",
    "sweep": "runbook sweep params/aws.yml --remove",
    "list": "runbook list",
    "map": "runbook map --write README.md",
}


def parser(description: str, environ: Mapping[str, str] = os.environ) -> argparse.ArgumentParser:
    """
    Return the parser of every command.
    """
    whole = _with_examples(argparse.ArgumentParser("runbook", description=description), "")
    whole.add_argument("--version", action="version", version=version("geo-diff-runbook"))
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        made = commands.add_parser(name, parents=list(parents), help=text, description=text)
        return _with_examples(made, name)

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--notebooks", type=Path, default=Path("notebooks"), metavar="DIR")
    overriding = argparse.ArgumentParser(add_help=False)
    overriding.add_argument(
        *["-p"], dest="given", action="append", default=[], metavar="NAME=VALUE",
        help="overrides the file",
    )  # fmt: skip
    runs = argparse.ArgumentParser(add_help=False)
    runs.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR")
    file = argparse.ArgumentParser(add_help=False)
    file.add_argument("parameters_file", type=Path, help="for example params/lab.yml")
    valued = [common, overriding, file]

    run = command("run", "run notebooks and write a report", *valued, runs)
    run.add_argument(
        *["--only"], nargs="+", action="extend", default=[], metavar="NN",
        help="only these, in this order",
    )  # fmt: skip
    run.add_argument("--from", dest="first", default="", metavar="NN", help="start with this one")
    run.add_argument("--to", dest="last", default="", metavar="NN", help="end with this notebook")
    run.add_argument(
        "--resume", action="store_true", help="the notebooks that the last run did not finish"
    )
    run.add_argument(
        *["--take-over"], action="store_true",
        help="take the cluster's lock from another run, which then stops",
    )  # fmt: skip
    run.add_argument(
        *["--timeout"], dest="timeout_s", type=float, default=1800.0, metavar="S",
        help="seconds for each notebook (1800)",
    )  # fmt: skip
    run.add_argument(
        *["--tell"], default=environ.get("RUNBOOK_TELL", ""), metavar="WHAT",
        help="a URL that gets the result as JSON when the run ends, or a program with arguments "
        "that reads it; also by the variable RUNBOOK_TELL, for a URL that is itself a secret",
    )  # fmt: skip
    command("prepare", "copy the notebooks with these values set", *valued, runs)
    command(
        "walkthrough",
        "open JupyterLab on such copies; arguments after -- are passed to it",
        *valued,
        runs,
    )
    listed = command("runs", "list the runs: verdicts, durations, and how checks changed", runs)
    listed.add_argument("--last", type=int, default=10, metavar="N", help="the last N runs (10)")
    verify = command(
        "verify", "is a run one clean execution of the notebooks, in order, unchanged?", common
    )
    verify.add_argument("run", type=Path, help="the folder of the run")
    command("history", "print the deployments that the Swarm keeps of a stack", *valued)
    sweep = command(
        "sweep",
        "list the clusters of every region; exit code 2: some are past their expiry",
        *valued,
    )
    sweep.add_argument(
        "--remove", action="store_true", help="remove the file's cluster where it is past"
    )
    sweep.add_argument(
        "--everybody", action="store_true", help="with --remove: every cluster that is past"
    )
    plan = command("plan", "print what 06 would change; exit code 2: changes", common, overriding)
    plan.add_argument("parameters_file", type=Path, nargs="?", help="for example params/lab.yml")
    plan.add_argument("--save", type=Path, metavar="FILE", help="save the plan, without secrets")
    plan.add_argument(
        "--apply", type=Path, metavar="FILE", help="apply a saved plan; refused if anything moved"
    )
    command("list", "list the notebooks", common)
    write = command("map", "write the map of the notebooks into a page", common)
    write.add_argument("--write", type=Path, required=True, metavar="README.md")
    return whole


def _with_examples(made: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.epilog = "\n".join(["examples:", *(f"  {line}" for line in EXAMPLES[name].split("\n"))])
    return made
