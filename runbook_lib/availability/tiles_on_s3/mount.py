"""
A folder of an instance as a mount of the bucket, by rclone and systemd.
"""

import shlex

import fabric

from runbook_lib.availability.tiles_on_s3.mount_files import (
    FIND_LEFT,
    PREPARE,
    RCLONE,
    REMOVE,
    SETTINGS,
    UNIT,
    Remote,
    config_file,
    mount_files,
)
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import CommandError
from runbook_lib.core.progress import Progress
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.hosts.files import ensure_files
from runbook_lib.hosts.ssh import run


def ensure_rclone(connection: fabric.Connection, role: str) -> Changes:
    """
    Install rclone and FUSE's mount command, as the distribution has them.
    """
    changes = Changes()
    with Progress(f"rclone on {role}"):
        for package in run(connection, PREPARE, sudo=True).split():
            changes.add("package", role, f"{package} installed")
    return changes


def ensure_settings(connection: fabric.Connection, remote: Remote, role: str) -> Changes:
    """
    Tell rclone where the bucket is; nothing is mounted yet.
    """
    changes = Changes()
    run(connection, f"install -d -m 0700 {SETTINGS}", sudo=True)
    for path in ensure_files(connection, [config_file(remote)]):
        changes.add("file", role, f"{path} written")
    return changes


def wait_for_access(
    connection: fabric.Connection, remote: Remote, role: str, timeout_s: float = 180
) -> None:
    """
    Wait until the instance may list the bucket with the keys of its role: on AWS they take a while.
    """

    def probe() -> bool | Pending:
        try:
            look = f"timeout 20 {RCLONE} lsf --max-depth 1 --low-level-retries 1 {remote.path}"
            run(connection, f"{look} 2>&1 >/dev/null", sudo=True)
        except CommandError as error:
            return Pending(str(error).strip().splitlines()[-1][:200])
        return True

    wait_for(
        f"{role} reaches {remote.bucket}",
        probe,
        timeout_s=timeout_s,
        poll_s=2,
        next_step="s3_endpoint_url must be right as the instance reaches it",
    )


def ensure_mounted(
    connection: fabric.Connection, remote: Remote, directory: str, volume: str, listing_s: int
) -> Changes:
    """
    Mount the bucket, now and after every boot; changed settings mount it anew.

    The folder under it belongs to root and is read-only: where the mount is missing, a service
    finds no tile, and can write none that would be hidden later.
    """
    changes = Changes()
    folder = shlex.quote(directory)
    run(connection, f"[ -d {folder} ] || install -d -m 0555 -o root -g root {folder}", sudo=True)
    written = ensure_files(connection, mount_files(remote, directory, volume, listing_s))
    for path in written:
        changes.add("file", path, "written")
    script = f"""
    if [ {len(written)} = 0 ] && systemctl -q is-active {UNIT} && systemctl -q is-enabled {UNIT}
    then exit; fi
    systemctl daemon-reload
    systemctl enable {UNIT} 2>/dev/null
    systemctl restart {UNIT} || {{ journalctl --unit {UNIT} --no-pager --lines 8; exit 1; }}
    echo mounted
    """
    with Progress(f"{remote.bucket} mounted"):
        if run(connection, script, sudo=True).strip():
            changes.add("mount", directory, f"is {remote.bucket}")
    return changes


def unmount(connection: fabric.Connection, directory: str) -> Changes:
    """
    Take the mount away; the folder under it stays.
    """
    changes = Changes()
    folder = shlex.quote(directory)
    script = f"""
    findmnt --noheadings --mountpoint {folder} >/dev/null || exit 0
    systemctl disable --now {UNIT} 2>/dev/null
    findmnt --noheadings --mountpoint {folder} >/dev/null && exit 1
    echo unmounted
    """
    if run(connection, script, sudo=True).strip():
        changes.add("mount", directory, "taken away")
    return changes


def remove_settings(connection: fabric.Connection, role: str) -> Changes:
    """
    Remove the unit and the settings; the package stays, as unzip and rsync do.
    """
    changes = Changes()
    for path in run(connection, REMOVE, sudo=True).split():
        changes.add("file", role, f"{path} removed")
    return changes


def find_left(connection: fabric.Connection) -> list[str]:
    """
    The files of the mount that are there.
    """
    return run(connection, FIND_LEFT, sudo=True).split()
