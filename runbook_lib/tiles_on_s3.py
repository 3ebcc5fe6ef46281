"""
The tiles moved from the manager's disk to S3, and back; the folder and the volume keep their names.

Source: section "Disponibilidad" of the guide, solution 2. Each way is the same: copied while the
application runs, then, with nothing at work, copied to the end and compared checksum by checksum,
and only then is the folder exchanged. Killed anywhere, the same call goes on: what is mounted, and
which folders are there, tells how far it came.
"""

import shlex
from dataclasses import dataclass

import docker
import fabric
import pandas as pd

from runbook_lib.changes import Changes
from runbook_lib.errors import CommandError, ConflictError, IntegrityError
from runbook_lib.progress import Progress
from runbook_lib.s3_mount import ensure_mounted, find_left, unmount
from runbook_lib.s3_mount_files import COPY, RCLONE, STATE, Remote
from runbook_lib.ssh import run
from runbook_lib.tiles import VOLUME, DataSet, count_tiles
from runbook_lib.volume_users import paused, resume


@dataclass(frozen=True)
class Move:
    """
    What is moved, and who moves it: the manager, by SSH and by its engine.
    """

    connection: fabric.Connection
    leader: docker.DockerClient
    data: DataSet
    remote: Remote

    @property
    def aside(self) -> str:
        """
        The folder on the disk while the other is the mount.
        """
        return f"{self.data.directory}-local"


@dataclass(frozen=True)
class State:
    """
    How far it is: the folder is the mount, there is another aside, the folder holds something.
    """

    mounted: bool
    aside: bool
    filled: bool


def find_state(move: Move) -> State:
    """
    Look at the manager's folders.
    """
    folders = {"directory": shlex.quote(move.data.directory), "aside": shlex.quote(move.aside)}
    seen = run(move.connection, STATE.format(**folders), sudo=True).split()
    return State(*(word in seen for word in ("mounted", "aside", "filled")))


def count_now(move: Move) -> pd.DataFrame:
    """
    Count the tiles where they are, as `tiles.count_tiles`: aside, after a move that was killed.
    """
    state = find_state(move)
    only_aside = state.aside and not state.filled
    folder = move.aside if only_aside else move.data.directory
    return count_tiles(move.connection, DataSet(move.data.url, folder))


def ensure_copied(move: Move) -> Changes:
    """
    Copy what S3 lacks while the application runs: most of it, so that the pause is short.
    """
    changes = Changes()
    if not find_state(move).mounted:
        count = _copy(move, _local(move), move.remote.path)
        if count:
            changes.add("tiles", move.remote.bucket, f"{count} files copied")
    return changes


def ensure_on_s3(move: Move, listing_s: int) -> Changes:
    """
    Exchange the folder for the mount, once S3 has all that it held; the disk's copy goes last.

    Raises
    ------
    IntegrityError
        Where S3 does not have what the disk has; nothing was exchanged then.
    """
    changes = Changes()
    mount = (move.connection, move.remote, move.data.directory, VOLUME, listing_s)
    if not find_state(move).mounted:
        with paused(move.connection, move.leader, VOLUME, changes):
            source = _local(move)
            _settle(move, source, move.remote.path)
            if source != move.aside:
                _rename(move, source, move.aside)
            changes.extend(ensure_mounted(*mount))
    changes.extend(resume(move.leader, VOLUME))  # of a run that was killed
    changes.extend(ensure_mounted(*mount))
    if find_state(move).aside:
        check_equal(move, move.aside, move.remote.path)
        run(move.connection, f"rm -rf {shlex.quote(move.aside)}", sudo=True)
        changes.add("folder", move.aside, "removed: S3 has every file of it")
    return changes


def ensure_copied_back(move: Move) -> Changes:
    """
    Copy what the disk lacks while the application runs.
    """
    changes = Changes()
    if find_state(move).mounted:
        _check_room(move)
        count = _copy(move, move.remote.path, move.aside, exact=True)
        if count:
            changes.add("tiles", move.aside, f"{count} files copied back")
    return changes


def ensure_on_disk(move: Move) -> Changes:
    """
    Exchange the mount for the folder, once the disk has all that S3 holds.

    Raises
    ------
    IntegrityError
        Where the disk does not have what S3 has; the mount is still there then.
    """
    changes = Changes()
    state = find_state(move)
    lost = not state.filled and find_left(move.connection)  # mounted once, and now it is not
    if state.mounted or state.aside or lost:
        with paused(move.connection, move.leader, VOLUME, changes):
            _settle(move, move.remote.path, move.aside, exact=True)
            changes.extend(unmount(move.connection, move.data.directory))
            folder = shlex.quote(move.data.directory)
            run(move.connection, f"[ ! -d {folder} ] || rmdir {folder}", sudo=True)
            run(move.connection, f"chown -R 1000:1000 {shlex.quote(move.aside)}", sudo=True)
            _rename(move, move.aside, move.data.directory)
        changes.add("tiles", move.data.directory, "on the manager's disk")
    changes.extend(resume(move.leader, VOLUME))
    return changes


def check_equal(move: Move, source: str, target: str, *, exact: bool = False) -> int:
    """
    Compare every file of `source` with the one in `target`; returns how many are equal.

    By MD5: S3 computed it from what it received, the disk's is computed now. With `exact`, the
    target may have no file more.

    Raises
    ------
    IntegrityError
        Naming the files that are missing or differ.
    """
    ways = "" if exact else "--one-way"
    compare = f"{RCLONE} check {shlex.quote(source)} {shlex.quote(target)} {ways} --exclude"
    script = f"""
    report=$(mktemp)
    {compare} '*.writing' --checkers 16 --combined $report >/dev/null 2>&1 || true
    echo $(grep -c '^=' $report || true)
    grep -v '^=' $report | head -8 || true
    rm $report
    """
    with Progress("Every checksum compared"):
        count, *differing = run(move.connection, script, sudo=True).splitlines()
    if differing or not int(count):
        raise IntegrityError(
            f"expected {target} to have every file of {source} as it is; {count} are equal",
            evidence="\n".join(differing) or "no file could be compared",
            next_step="run this notebook again; a file that differs each time: look at both",
        )
    return int(count)


def _local(move: Move) -> str:
    """
    The folder on the disk that has the tiles, before they are on S3.
    """
    state = find_state(move)
    if state.aside and state.filled:
        raise ConflictError(
            f"expected one of {move.data.directory} and {move.aside}; there are tiles in both",
            evidence=f"{move.aside} is from a move that was killed, and 04 unpacked anew",
            next_step=f"keep one: on the manager,  sudo rm -r {move.aside}  loses its results",
        )
    return move.aside if state.aside else move.data.directory


def _settle(move: Move, source: str, target: str, *, exact: bool = False) -> None:
    """
    Compare, and copy only where there is a difference: nobody has the tiles meanwhile.
    """
    try:
        check_equal(move, source, target, exact=exact)
    except IntegrityError:
        _copy(move, source, target, exact=exact)
        check_equal(move, source, target, exact=exact)


def _copy(move: Move, source: str, target: str, *, exact: bool = False) -> int:
    """
    Copy what differs; with `exact`, what only the target has goes. Returns how many were copied.
    """
    action = "sync" if exact else "copy"
    command = f"{RCLONE} {action} {shlex.quote(source)} {shlex.quote(target)} {COPY} -v"
    script = f"report=$(mktemp); nice {command} >$report 2>&1 || {{ tail -5 $report; exit 1; }}\n"
    with Progress(f"{source} copied to {target}"):
        said = run(
            move.connection, f"{script} grep -c ': Copied (' $report || true; rm $report", sudo=True
        )
    return int(said)


def _rename(move: Move, source: str, target: str) -> None:
    run(move.connection, f"mv -T {shlex.quote(source)} {shlex.quote(target)}", sudo=True)


def _check_room(move: Move) -> None:
    parent = shlex.quote(move.data.directory.rpartition("/")[0])
    script = f"""
    {RCLONE} size {move.remote.path} --json | python3 -c 'import json,sys
    print(json.load(sys.stdin)["bytes"])' ; df --output=avail -B1 {parent} | tail -1
    """.replace("\n    print", "\nprint")
    needed, free = (int(word) for word in run(move.connection, script, sudo=True).split())
    if needed * 1.2 > free:
        raise CommandError(
            f"expected room for {needed / 2**20:.0f} MiB of tiles on the manager's disk",
            evidence=f"{free / 2**20:.0f} MiB are free",
            next_step="make room under /srv, or keep the tiles on S3",
        )
