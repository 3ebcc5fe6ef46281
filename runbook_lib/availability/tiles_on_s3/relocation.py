"""
The tiles moved from the manager's disk to S3, and back; the folder and the volume keep their names.

Source: section "Disponibilidad" of the guide, solution 2. Each way is the same: copied while the
application runs, then, with nothing at work, copied to the end and compared checksum by checksum,
and only then is the folder exchanged. Killed anywhere, the same call goes on: what is mounted, and
which folders are there, tells how far it came. Beside the mount, the folder aside is always one
that was compared with S3 or copied from it.
"""

import shlex
from dataclasses import dataclass

import docker
import fabric
import pandas as pd

from runbook_lib.availability.tiles_on_s3.copying import (
    check_equal,
    check_room,
    check_worth,
    copy_files,
)
from runbook_lib.availability.tiles_on_s3.mount import ensure_mounted, find_left, unmount
from runbook_lib.availability.tiles_on_s3.mount_files import STATE, Remote
from runbook_lib.availability.tiles_on_s3.volume_users import paused, resume
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, IntegrityError
from runbook_lib.geodiff.tiles import VOLUME, DataSet, count_tiles
from runbook_lib.hosts.ssh import run


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
        count = copy_files(move.connection, _local(move), move.remote.path)
        if count:
            changes.add("tiles", move.remote.bucket, f"{count} files copied")
    return changes


def ensure_on_s3(move: Move, listing_s: int) -> Changes:
    """
    Exchange the folder for the mount, once S3 has all that it held; the disk's copy goes last.

    It was compared while nobody wrote. What the services change from then on is in S3 alone, so
    that after a kill only the number is looked at: a bucket that was lost since has nothing.

    Raises
    ------
    IntegrityError
        Where S3 does not have what the disk has; nothing was exchanged then.
    ConflictError
        Where the disk's copy has markedly more than S3 now.
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
        check_worth(move.connection, move.remote.path, move.aside)
        run(move.connection, f"rm -rf {shlex.quote(move.aside)}", sudo=True)
        changes.add("folder", move.aside, "removed: S3 was found to have every file of it")
    return changes


def ensure_copied_back(move: Move) -> Changes:
    """
    Copy what the disk lacks while the application runs.
    """
    changes = Changes()
    if find_state(move).mounted:
        check_room(move.connection, move.remote.path, move.aside)
        count = copy_files(move.connection, move.remote.path, move.aside, exact=True)
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
        check_equal(move.connection, source, target, exact=exact)
    except IntegrityError:
        copy_files(move.connection, source, target, exact=exact)
        check_equal(move.connection, source, target, exact=exact)


def _rename(move: Move, source: str, target: str) -> None:
    run(move.connection, f"mv -T {shlex.quote(source)} {shlex.quote(target)}", sudo=True)
