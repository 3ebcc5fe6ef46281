"""
Arm faults in a lab, list what they did, and end them.
"""

from __future__ import annotations

import argparse
import sys
import time

from docker.errors import DockerException

from lab.commands.status import table
from lab.core.config import LabConfig
from lab.core.errors import LabError
from lab.faults.api import API_KINDS
from lab.faults.armed import Fault, Faults
from lab.faults.hosts import HOST_KINDS
from lab.machines.containers import Machines

WHAT = API_KINDS | {name: kind.what for name, kind in HOST_KINDS.items()}
EPILOG = "kinds:\n" + table((f"  {name}", what) for name, what in WHAT.items())


def add_fault_parser(command: argparse.ArgumentParser) -> None:
    command.epilog = EPILOG
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_argument("kind", choices=[*WHAT, "list", "clear"], metavar="KIND|list|clear")
    command.add_argument("--name", default=LabConfig.name, help="name of the lab [%(default)s]")
    command.add_argument("--seed", type=int, default=0, help="which occasions [%(default)s]")
    command.add_argument("--count", type=int, default=3, help="how often at most [%(default)s]")
    command.add_argument(
        "--share", type=float, default=1.0, help="of the occasions, by the seed [%(default)s]"
    )
    command.add_argument(
        "--only",
        nargs="+",
        default=[],
        metavar="NAME",
        help="actions of the API such as RunInstances or 'Describe*'; ids of instances for hosts",
    )
    command.add_argument(
        "--seconds",
        type=float,
        default=0.0,
        help="of a delay; a fault of hosts ends after them, without them by clear",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    config = LabConfig.load(options.name)
    faults = Faults(config.state_dir)
    if options.kind == "list":
        sys.stdout.write(_listed(faults))
    elif options.kind == "clear":
        _clear(config, faults)
    else:
        _refuse_wrong(config, options)
        fault = faults.arm(
            Fault(
                options.kind,
                options.seed,
                options.count,
                options.share,
                tuple(options.only),
                options.seconds,
            )
        )
        _say(f"{fault.number}  {fault}")
        kind = HOST_KINDS.get(fault.kind)
        try:
            for did in _on_hosts(config, fault, begin=True):
                faults.record(fault, did)
            if kind and kind.end:
                time.sleep(fault.seconds)
        finally:
            if kind and fault.seconds:  # also after Ctrl-C
                _on_hosts(config, fault, begin=False)
                faults.disarm(fault.number)
    return 0


def _clear(config: LabConfig, faults: Faults) -> None:
    """
    End every fault. One that does not end stays armed, and the others end all the same.
    """
    failures = []
    for fault in faults.armed():
        try:
            _on_hosts(config, fault, begin=False)
        except (LabError, DockerException) as exc:
            failures.append(f"{fault.number}  {fault}: {exc}")
        else:
            faults.disarm(fault.number)
            _say(f"{fault.number}  {fault}: ended")
    if failures:
        raise LabError(
            f"expected every fault to end, but {len(failures)} did not",
            evidence="; ".join(failures),
            next_step="python -m lab status; then  python -m lab fault clear  again",
        )


def _refuse_wrong(config: LabConfig, options: argparse.Namespace) -> None:
    problems = []
    if not 1 <= options.count <= 10_000:
        problems.append(f"--count {options.count} is not between 1 and 10000")
    if not 0 < options.share <= 1:
        problems.append(f"--share {options.share} is not above 0 and up to 1")
    if not 0 <= options.seconds <= 3600:
        problems.append(f"--seconds {options.seconds} is not between 0 and 3600")
    if options.kind in HOST_KINDS and options.only:
        machines = Machines(config)
        problems += [f"{i} does not run" for i in options.only if not machines.condition(i).running]
    elif options.kind in HOST_KINDS:
        problems.append("--only must name the instances of a fault of hosts")
    if problems:
        raise LabError(
            f"expected a bounded fault, but {len(problems)} of its options are wrong",
            evidence="; ".join(problems),
            next_step="python -m lab fault --help",
        )


def _on_hosts(config: LabConfig, fault: Fault, *, begin: bool) -> list[str]:
    """
    Begin or end a fault of hosts; nothing for one of the API, which the server carries out.
    """
    kind = HOST_KINDS.get(fault.kind)
    act = None if kind is None else kind.begin if begin else kind.end
    if act is None:
        return []
    machines, done = Machines(config), []
    for instance_id in fault.only:
        condition = machines.condition(instance_id)
        if not condition.exists:
            did = "is gone"
        elif condition.running:
            did = act(machines, instance_id, fault)
        else:
            raise LabError(
                f"expected {instance_id} to run, for {fault.kind} to end there",
                evidence="it is stopped, and keeps what was done to its files",
                next_step="start it, then  python -m lab fault clear",
            )
        done.append(f"{instance_id}: {did}")
        _say(f"   {done[-1]}")
    return done


def _listed(faults: Faults) -> str:
    strikes = faults.strikes()
    lines = []
    for fault in faults.armed():
        did = strikes.get(fault.number, [])
        lines.append(f"{fault.number}  {fault}; struck {len(did)}")
        lines += [f"     {one}" for one in did]
    return "\n".join(lines or ["no fault is armed"]) + "\n"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
