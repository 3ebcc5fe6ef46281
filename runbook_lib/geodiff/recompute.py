"""
A small real batch: results are removed, and the stack recomputes them, byte for byte.

Nothing has to be restored: the dealer finds missing results, even after an interrupt.
"""

import shlex

import fabric

from runbook_lib.core.errors import ConflictError
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.geodiff.tiles import FIND, DataSet
from runbook_lib.hosts.ssh import run


def take_results(
    manager: fabric.Connection, data: DataSet, surface: str, count: int
) -> dict[str, str]:
    """
    Remove some results of a surface from the disk; return the SHA-256 of each.

    Raises ConflictError if there are fewer than `count`.
    """
    folder = shlex.quote(f"{data.directory}/{surface}")
    listed = run(manager, f"cd {folder} && {FIND} | sort | sed -n 1,{count}p", sudo=True)
    names = listed.split()
    if len(names) < count:
        raise ConflictError(
            f"expected {count} results of {surface} in {data.directory}, found {len(names)}",
            next_step="run 06_work_stack: it waits until every tile has its results",
        )
    taken = fingerprints(manager, data, surface, names)
    run(manager, f"cd {folder} && rm -- {shlex.join(names)}", sudo=True)
    return taken


def fingerprints(
    manager: fabric.Connection, data: DataSet, surface: str, names: list[str]
) -> dict[str, str]:
    """
    Return the SHA-256 of the existing results.
    """
    if not names:  # sha256sum would read stdin
        return {}
    folder = shlex.quote(f"{data.directory}/{surface}")
    command = f"cd {folder} && sha256sum -- {shlex.join(names)} 2>/dev/null || true"
    lines = [line.split(maxsplit=1) for line in run(manager, command, sudo=True).splitlines()]
    return {name: digest for digest, name in lines}


def wait_until_recomputed(
    manager: fabric.Connection,
    data: DataSet,
    surface: str,
    taken: dict[str, str],
    timeout_s: float = 240,
) -> dict[str, str]:
    """
    Wait until all results exist again; return the SHA-256 of each.
    """

    def probe() -> dict[str, str] | Pending:
        results = fingerprints(manager, data, surface, list(taken))
        count, total = len(results), len(taken)
        return results if count == total else Pending(f"{count} of {total}", count, total)

    return wait_for(
        "Results made again",
        probe,
        timeout_s=timeout_s,
        poll_s=1,
        next_step="docker service logs geo-diff-work_worker  on the manager",
    )
