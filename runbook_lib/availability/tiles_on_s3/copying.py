"""
Folders and the bucket compared, counted and copied: by rclone, on the instance that has the folder.
"""

import json
import shlex
from dataclasses import dataclass

import fabric

from runbook_lib.availability.tiles_on_s3.mount_files import COPY, MOUNT_UNIT, NO_TEMPORARY, RCLONE
from runbook_lib.core.errors import CommandError, ConflictError, IntegrityError
from runbook_lib.core.progress import Progress
from runbook_lib.hosts.ssh import run

_FEWER = 10  # one file in so many may be missing where something that has more goes for it
_DIFFERENCES = 1  # rclone's exit code for them; for some other failures, too


@dataclass(frozen=True)
class _Size:
    """
    How many files there are, and how many bytes they have.
    """

    files: int
    bytes: int


def check_equal(
    connection: fabric.Connection, source: str, target: str, *, exact: bool = False
) -> int:
    """
    Compare every file of `source` with the one in `target`; returns how many are equal.

    By MD5: S3 computed it from what it received, the disk's is computed now. With `exact`, the
    target may have no file more.

    Raises
    ------
    IntegrityError
        Naming the files that are missing or differ.
    CommandError
        Where it did not come to its end: rclone was killed, or could not list a folder.
    """
    ways = "" if exact else "--one-way"
    compare = f"{RCLONE} check {shlex.quote(source)} {shlex.quote(target)} {ways} {NO_TEMPORARY}"
    script = f"""
    report=$(mktemp) said=$(mktemp) code=0
    {compare} --checkers 16 --combined $report >$said 2>&1 || code=$?
    echo $code $(grep -c '^=' $report || true)
    {{ grep -v '^=' $report || true; }} | head -8
    if [ $code != 0 ]; then tail -4 $said | sed 's/^/rclone: /'; fi
    rm $report $said
    """
    with Progress("Every checksum compared"):
        first, *rest = run(connection, script, sudo=True).splitlines()
    code, equal = (int(word) for word in first.split())
    differing = [line for line in rest if not line.startswith("rclone: ")]
    if code not in (0, _DIFFERENCES) or (code and not differing):
        raise CommandError(
            f"expected {source} and {target} to be compared to the end; rclone ended with {code}",
            evidence="\n".join(rest),
            next_step="run this notebook again: it goes on where it stopped",
        )
    if differing or not equal:
        raise IntegrityError(
            f"expected {target} to have every file of {source} as it is; {equal} are equal",
            evidence="\n".join(differing) or "there is no file to compare",
            next_step="run this notebook again; a file that differs each time: look at both",
        )
    return equal


def copy_files(
    connection: fabric.Connection, source: str, target: str, *, exact: bool = False
) -> int:
    """
    Copy what differs; with `exact`, what only the target has goes. Returns how many were copied.

    Raises
    ------
    ConflictError
        With `exact`, where the source has markedly less than the target.
    """
    action = "copy"
    if exact:
        files = check_worth(connection, source, target)
        action = f"sync --max-delete {files // _FEWER}"
    command = f"{RCLONE} {action} {shlex.quote(source)} {shlex.quote(target)} {COPY} -v"
    script = f"report=$(mktemp); nice {command} >$report 2>&1 || {{ tail -5 $report; exit 1; }}\n"
    with Progress(f"{source} copied to {target}"):
        said = run(
            connection, f"{script} grep -c ': Copied (' $report || true; rm $report", sudo=True
        )
    return int(said)


def check_worth(connection: fabric.Connection, kept: str, going: str) -> int:
    """
    Refuse to let files go for others that are markedly fewer; returns how many would go.

    Raises
    ------
    ConflictError
        Where one of the two was lost and made anew, in all likelihood.
    """
    here, there = _measure(connection, kept).files, _measure(connection, going).files
    if not here or here < there - there // _FEWER:
        raise ConflictError(
            f"expected {kept} to have about as many files as {going}, which goes for it",
            evidence=f"{here} files are in {kept}, {there} in {going}",
            next_step=f"where S3 lost them: on the manager,  sudo systemctl disable --now {MOUNT_UNIT},"
            f"  then 31_tiles_on_s3 fills it from {going} (04_tiles, where that has nothing)."
            f"  Where it is right that they are so few:  sudo rm -r {shlex.quote(going)}",
        )
    return there


def check_room(connection: fabric.Connection, source: str, target: str) -> None:
    """
    Refuse a copy that the disk has no room for; what an earlier one brought is there already.

    Raises
    ------
    CommandError
        Telling how much is needed, and how much is free.
    """
    missing = _measure(connection, source).bytes - _measure(connection, target).bytes
    parent = shlex.quote(target.rpartition("/")[0])
    free = int(run(connection, f"df --output=avail -B1 {parent} | tail -1"))
    if missing * 1.2 > free:
        raise CommandError(
            f"expected room for {missing / 2**20:.0f} MiB of tiles on the manager's disk",
            evidence=f"{free / 2**20:.0f} MiB are free",
            next_step=f"make room under {parent}, or keep the tiles on S3",
        )


def _measure(connection: fabric.Connection, place: str) -> _Size:
    """
    What a folder or the bucket holds; nothing, where there is no such folder.
    """
    quoted = shlex.quote(place)
    script = f"{RCLONE} size --json {NO_TEMPORARY} {quoted}"
    if place.startswith("/"):
        script = f"if [ -d {quoted} ]; then {script}; fi"
    found = json.loads(run(connection, script, sudo=True) or '{"count": 0, "bytes": 0}')
    return _Size(found["count"], found["bytes"])
