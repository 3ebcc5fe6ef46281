"""
A folder of an instance as a mount of the bucket, by rclone and systemd.
"""

import shlex

import fabric

from runbook_lib.availability.tiles_on_s3.mount_files import (
    MOUNT_PATHS,
    MOUNT_SETTINGS,
    MOUNT_UNIT,
    RCLONE,
    Remote,
    config_file,
    mount_files,
)
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import CommandError
from runbook_lib.core.progress import Progress
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.hosts.files import ensure_files
from runbook_lib.hosts.installed import (
    find_installed,
    install_packages,
    remove_installed,
    start_unit,
)
from runbook_lib.hosts.ssh import run

_PREPARE = f"""
type rclone fusermount3 >/dev/null 2>&1 || {{ {install_packages("rclone", "fuse3")}; echo rclone; }}
grep -qw fuse /proc/filesystems || modprobe fuse
"""


def ensure_rclone(connection: fabric.Connection, role: str) -> Changes:
    """
    Install rclone and FUSE's mount command, as the distribution has them.
    """
    changes = Changes()
    with Progress(f"rclone on {role}"):
        for package in run(connection, _PREPARE, sudo=True).split():
            changes.add("package", role, f"{package} installed")
    return changes


def ensure_settings(connection: fabric.Connection, remote: Remote, role: str) -> Changes:
    """
    Write rclone's settings for the bucket; nothing is mounted yet.
    """
    changes = Changes()
    run(connection, f"install -d -m 0700 {MOUNT_SETTINGS}", sudo=True)
    for path in ensure_files(connection, [config_file(remote)]):
        changes.add("file", role, f"{path} written")
    return changes


def wait_for_access(
    connection: fabric.Connection, remote: Remote, role: str, timeout_s: float = 180
) -> None:
    """
    Wait until the instance can list the bucket with its role, whose keys arrive late on AWS.
    """

    def probe() -> bool | Pending:
        try:
            listing = f"timeout 20 {RCLONE} lsf --max-depth 1 --low-level-retries 1 {remote.path}"
            run(connection, f"{listing} 2>&1 >/dev/null", sudo=True)
        except CommandError as error:
            return Pending(str(error).strip().splitlines()[-1][:200])
        return True

    wait_for(
        f"{role} reaches {remote.bucket}",
        probe,
        timeout_s=timeout_s,
        poll_s=2,
        next_step="check s3_endpoint_url: the instance must reach S3 at this address",
    )


def ensure_mounted(
    connection: fabric.Connection, remote: Remote, directory: str, volume: str, listing_s: int
) -> Changes:
    """
    Mount the bucket, now and after every boot; mount it again where its settings have changed.

    The folder below it belongs to root and is read-only: while the mount is missing, a service
    finds no tile, and cannot write one that the mount would hide later.
    """
    changes = Changes()
    folder = shlex.quote(directory)
    run(connection, f"[ -d {folder} ] || install -d -m 0555 -o root -g root {folder}", sudo=True)
    written = ensure_files(connection, mount_files(remote, directory, volume, listing_s))
    for path in written:
        changes.add("file", path, "written")
    with Progress(f"{remote.bucket} mounted"):
        if start_unit(connection, MOUNT_UNIT, changed=bool(written)):
            changes.add("mount", directory, f"is {remote.bucket}")
    return changes


def unmount(connection: fabric.Connection, directory: str) -> Changes:
    """
    Unmount the bucket; the folder below it stays.
    """
    changes = Changes()
    folder = shlex.quote(directory)
    script = f"""
    findmnt --noheadings --mountpoint {folder} >/dev/null || exit 0
    systemctl disable --now {MOUNT_UNIT} 2>/dev/null
    findmnt --noheadings --mountpoint {folder} >/dev/null && exit 1
    echo unmounted
    """
    if run(connection, script, sudo=True).strip():
        changes.add("mount", directory, "unmounted")
    return changes


def remove_settings(connection: fabric.Connection, role: str) -> Changes:
    """
    Remove the unit and the settings; the packages stay, as unzip and rsync do.
    """
    changes = Changes()
    for path in remove_installed(connection, [f"{MOUNT_UNIT}.service"], MOUNT_PATHS):
        changes.add("file", role, f"{path} removed")
    return changes


def find_mount_files(connection: fabric.Connection) -> list[str]:
    """
    The files of the mount that exist on the instance.
    """
    return find_installed(connection, MOUNT_PATHS)
