"""
The command line of the lab.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.commands import down, preflight, server_process, up
from lab.commands.fault import add_fault_parser
from lab.commands.status import show_status
from lab.commands.steps import Steps
from lab.core.config import LabConfig, state_dir_of
from lab.core.errors import LabError
from lab.engine.dockerd import Daemon
from lab.sample import data_set

DOWN, FAILED, INTERRUPTED = 3, 1, 130
FIXED = ("subnet", "region")  # while a lab exists: its instances depend on them


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run one command and return its exit code: 0 done, 1 failed, 2 wrong usage, 3 the lab is down.
    """
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except LabError as exc:
        sys.stderr.write(f"{exc}\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; run the same command to resume\n")
        return INTERRUPTED


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m lab", description="The rehearsal cloud.")
    commands = root.add_subparsers(required=True, metavar="command")
    help_of = {
        "up": "bring a lab up, or resume an interrupted run",
        "status": "show what runs; exit code 0 when the lab is up, 3 when it is down",
        "down": "remove everything of a lab except the caches, which it lists",
        "preflight": "list what this host lacks for a lab",
    }
    for name, run in (("up", _up), ("status", _status), ("down", _down), ("preflight", _preflight)):
        command = commands.add_parser(name, help=help_of[name], description=help_of[name])
        command.set_defaults(run=run)
        command.add_argument("--name", default=LabConfig.name, help="name of the lab [%(default)s]")
        if name in {"up", "preflight"}:
            _add_properties(command)
        if name == "down":
            command.add_argument(
                "--keep-engine", action="store_true", help="leave the private engine running"
            )
    what = "arm a fault of the API or of hosts, list what they did, or clear them"
    add_fault_parser(commands.add_parser("fault", help=what, description=what))
    serve = commands.add_parser("serve", help="(internal) serve a lab in this process")
    serve.set_defaults(run=_serve)
    serve.add_argument("--name", required=True)
    write = commands.add_parser("sample", help="write the sample data set to a folder")
    write.set_defaults(run=_sample)
    write.add_argument("folder", type=Path)
    return root


def configured(options: argparse.Namespace) -> LabConfig:
    """
    The lab for these options. Missing options are those of the existing lab, or defaults.
    """
    given: dict[str, Any] = {
        key: value
        for key in ("name", "port", *FIXED)
        if (value := getattr(options, key, None)) is not None
    }
    if files := getattr(options, "policy", None):
        given["operator_policies"] = tuple(str(file.resolve()) for file in files)
    if tags := getattr(options, "operator_tag", None):
        given["operator_tags"] = tuple(tags)
    if policies := getattr(options, "account_policy", None):
        parts = (text.partition("=") for text in policies)
        given["account_policies"] = tuple(f"{n}={Path(path).resolve()}" for n, _, path in parts)
    if not (state_dir_of(options.name) / "lab.json").exists():
        return LabConfig(**given)
    saved = LabConfig.load(options.name)
    wanted = replace(saved, **given)
    changed = [key for key in FIXED if getattr(saved, key) != getattr(wanted, key)]
    if changed:
        raise LabError(
            f"expected the lab {saved.name} to keep its {', '.join(changed)} while it exists",
            evidence="; ".join(f"{key} is {getattr(saved, key)}" for key in changed),
            next_step=f"python -m lab down --name {saved.name}   # or another --name",
        )
    return wanted


def _add_properties(command: argparse.ArgumentParser) -> None:
    command.add_argument("--port", type=int, help=f"port of the EC2 endpoint [{LabConfig.port}]")
    command.add_argument("--subnet", help=f"subnet of the default VPC, a /16 [{LabConfig.subnet}]")
    command.add_argument("--region", help=f"name of its one region [{LabConfig.region}]")
    command.add_argument(
        "--policy", type=Path, action="append", help="an IAM policy of the operator [all rights]"
    )
    command.add_argument(
        "--operator-tag",
        action="append",
        metavar="KEY=VALUE",
        help="a tag of the operator's user; @default-vpc stands for the id of the default VPC",
    )
    command.add_argument(
        "--account-policy", action="append", metavar="NAME=FILE", help="a managed policy to make"
    )


def _up(options: argparse.Namespace) -> int:
    steps = Steps()
    config = configured(options)
    saved = state_dir_of(config.name) / "lab.json"
    if saved.exists() and LabConfig.load(config.name) != config:
        server_process.stop_server(config)  # another port or policy: the instances stay
    config = up.up(config, Daemon(), steps)
    steps.say(
        f"The lab {config.name} is up.\n"
        f"  endpoint     {config.endpoint_url}   (EC2, S3, SSM, STS, IAM; {config.region})\n"
        f"  credentials  {config.credentials_file}   ([default], [administrator])\n"
        f"  sample data  {config.guest_endpoint_url}/{data_set.BUCKET}/{data_set.SUMS}\n"
        f"  for the aws command and boto3:\n"
        f"    export AWS_ENDPOINT_URL={config.endpoint_url} AWS_REGION={config.region}"
        f" AWS_SHARED_CREDENTIALS_FILE={config.credentials_file}\n"
        f"  root in an instance is as good as root on this host: start only stacks that you trust"
    )
    return 0


def _status(options: argparse.Namespace) -> int:
    return 0 if show_status(options.name) else DOWN


def _down(options: argparse.Namespace) -> int:
    steps = Steps()
    try:
        config = LabConfig.load(options.name)
    except LabError:  # no lab, or its file is broken: remove what carries its label
        config = LabConfig(name=options.name)
    down.down(config, Daemon(), steps, keep_engine=options.keep_engine)
    for folder, size_mib in down.cache_sizes(config).items():
        steps.say(f"kept as a cache: {folder}   {size_mib:,} MiB")
    return 0


def _preflight(options: argparse.Namespace) -> int:
    preflight.require_ready(configured(options), Daemon())
    sys.stdout.write("The host is ready for a lab.\n")
    return 0


def _serve(options: argparse.Namespace) -> int:
    from lab.aws.server import serve  # noqa: PLC0415 - moto takes a second, and only `serve` needs it

    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    serve(LabConfig.load(options.name))
    return 0


def _sample(options: argparse.Namespace) -> int:
    made = data_set.ensure_sample(LabConfig().cache_dir / "tiles")
    options.folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(made.iterdir()):
        shutil.copy2(path, options.folder / path.name)
    sys.stdout.write(
        f"{options.folder}: {data_set.NAME}.z01 ... {data_set.NAME}.zip, {data_set.SUMS}\n"
    )
    return 0
