"""
Migration of the tiles from the manager's disk to S3 and back; folder and volume keep their names.

Source: section "Disponibilidad" of the guide, solution 2. Both directions work alike: copy while
the application runs; then stop every service that uses the volume, copy the rest, compare every
checksum, and only then swap the folder. After a kill, the same call continues: the mount and the
existing folders show the progress. While the bucket is mounted, a folder aside was always compared
with S3 or copied from it.
"""

import shlex
from dataclasses import dataclass

import docker
import fabric
import pandas as pd

from runbook_lib.availability.tiles_on_s3.bucket_access import BucketAccess, ensure_bucket_access
from runbook_lib.availability.tiles_on_s3.copies import (
    check_equal,
    check_room,
    check_worth,
    copy_files,
)
from runbook_lib.availability.tiles_on_s3.mount import ensure_mounted, find_mount_files, unmount
from runbook_lib.availability.tiles_on_s3.volume_users import paused, resume
from runbook_lib.cloud.roles import MANAGER
from runbook_lib.cloud.tiles_bucket import content, exists, remove_bucket
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, IntegrityError
from runbook_lib.geodiff.tiles import VOLUME, DataSet, count_tiles
from runbook_lib.hosts.ssh import run

_STATE = """
if findmnt --noheadings --mountpoint {directory} >/dev/null; then echo mounted; fi
if [ -d {aside} ]; then echo aside; fi
content=
if [ -d {directory} ]; then content=$(timeout 60 ls -A {directory} || true); fi
if [ -n "$content" ]; then echo filled; fi
"""


@dataclass(frozen=True)
class Migration:
    """
    The tiles on the manager, and the bucket that is their destination or source.
    """

    access: BucketAccess
    data: DataSet

    @property
    def connection(self) -> fabric.Connection:
        return self.access.cluster.connections[MANAGER]

    @property
    def leader(self) -> docker.DockerClient:
        return self.access.cluster.engines[MANAGER]

    @property
    def aside(self) -> str:
        """
        The folder on the disk while the bucket is mounted in its place.
        """
        return f"{self.data.directory}-local"

    def run(self, script: str) -> str:
        """
        Run a script on the manager, as root.
        """
        return run(self.connection, script, sudo=True)


@dataclass(frozen=True)
class State:
    """
    A migration's progress: the bucket is mounted, a folder is aside, the folder has content.
    """

    mounted: bool
    aside: bool
    filled: bool


def find_state(move: Migration) -> State:
    """
    Read the state from the manager's folders.
    """
    folders = {"directory": shlex.quote(move.data.directory), "aside": shlex.quote(move.aside)}
    words = move.run(_STATE.format(**folders)).split()
    return State(*(word in words for word in ("mounted", "aside", "filled")))


def count_now(move: Migration) -> pd.DataFrame:
    """
    Count the tiles at their current place, like `tiles.count_tiles`: aside, after a killed
    migration.
    """
    state = find_state(move)
    folder = move.aside if state.aside and not state.filled else move.data.directory
    return count_tiles(move.connection, DataSet(move.data.url, folder))


def ensure_copied(move: Migration) -> Changes:
    """
    Copy missing files to S3 while the application runs, so that the later pause is short.
    """
    changes, bucket = Changes(), move.access.remote.path
    if not find_state(move).mounted and (
        count := copy_files(move.connection, _local(move), bucket)
    ):
        changes.add("tiles", move.access.bucket.name, f"{count} files copied")
    return changes


def ensure_on_s3(move: Migration, listing_s: int) -> Changes:
    """
    Swap the folder for the mount once S3 has all its files; the copy on the disk is removed last.

    The two were compared while nothing was written. Later writes are only in S3, so after a kill
    only the numbers of files are compared: a bucket lost since then has none.

    Raises IntegrityError, without a swap, if S3 lacks files of the disk; ConflictError if the
    disk's copy now has markedly more files than S3.
    """
    changes = Changes()
    mount = (move.connection, move.access.remote, move.data.directory, VOLUME, listing_s)
    if not find_state(move).mounted:
        with paused(move.connection, move.leader, VOLUME, changes):
            source = _local(move)
            _copy_rest(move, source, move.access.remote.path)
            if source != move.aside:
                _rename(move, source, move.aside)
            changes.extend(ensure_mounted(*mount))
    changes.extend(resume(move.leader, VOLUME))  # of a run that was killed
    changes.extend(ensure_mounted(*mount))
    if find_state(move).aside:
        check_worth(move.connection, move.access.remote.path, move.aside)
        move.run(f"rm -rf {shlex.quote(move.aside)}")
        changes.add("folder", move.aside, "removed: S3 has every file of it")
    return changes


def ensure_copied_back(move: Migration) -> Changes:
    """
    Copy missing files to the disk while the application runs.
    """
    changes = Changes()
    if find_state(move).mounted:
        check_room(move.connection, move.access.remote.path, move.aside)
        if count := copy_files(move.connection, move.access.remote.path, move.aside, exact=True):
            changes.add("tiles", move.aside, f"{count} files copied back")
    return changes


def ensure_on_disk(move: Migration) -> Changes:
    """
    Swap the mount for the folder once the disk has all files of S3.

    Raises IntegrityError, with the mount still in place, if the disk lacks files of S3.
    """
    changes = Changes()
    state = find_state(move)
    lost = not state.filled and find_mount_files(move.connection)  # it was mounted, and is not now
    if state.mounted or state.aside or lost:
        with paused(move.connection, move.leader, VOLUME, changes):
            _copy_rest(move, move.access.remote.path, move.aside, exact=True)
            changes.extend(unmount(move.connection, move.data.directory))
            folder = shlex.quote(move.data.directory)
            move.run(f"[ ! -d {folder} ] || rmdir {folder}")
            move.run(f"chown -R 1000:1000 {shlex.quote(move.aside)}")
            _rename(move, move.aside, move.data.directory)
        changes.add("tiles", move.data.directory, "on the manager's disk")
    changes.extend(resume(move.leader, VOLUME))
    return changes


def ensure_bucket_gone(move: Migration, *, keep: bool) -> Changes:
    """
    Delete the bucket after comparing every object in it with the file on the disk.

    Raises ConflictError if the tiles are still on S3; IntegrityError if a file is missing on the
    disk, or differs; nothing is deleted then.
    """
    changes, access = Changes(), move.access
    if keep or not exists(access.s3, access.bucket):
        return changes
    if find_state(move).mounted:
        raise ConflictError(
            f"expected {move.data.directory} to be on the disk; the bucket is mounted there",
            next_step="run 36_remove_tiles_on_s3 from its beginning",
        )
    if content(access.s3, access.bucket).objects:
        changes.extend(ensure_bucket_access(access, MANAGER))
        check_equal(move.connection, move.access.remote.path, move.data.directory)
    changes.extend(remove_bucket(access.s3, access.bucket))
    return changes


def _local(move: Migration) -> str:
    """
    Return the folder on the disk with the tiles, before they are on S3.
    """
    state = find_state(move)
    if state.aside and state.filled:
        raise ConflictError(
            f"expected one of {move.data.directory} and {move.aside}; there are tiles in both",
            evidence=f"{move.aside} is from a killed migration, and 04_tiles unpacked again since",
            next_step=f"keep one: on the manager,  sudo rm -r {move.aside}  loses its results",
        )
    return move.aside if state.aside else move.data.directory


def _copy_rest(move: Migration, source: str, target: str, *, exact: bool = False) -> None:
    """
    Compare, and copy only if there is a difference: the services are stopped meanwhile.
    """
    try:
        check_equal(move.connection, source, target, exact=exact)
    except IntegrityError:
        copy_files(move.connection, source, target, exact=exact)
        check_equal(move.connection, source, target, exact=exact)


def _rename(move: Migration, source: str, target: str) -> None:
    move.run(f"mv -T {shlex.quote(source)} {shlex.quote(target)}")
