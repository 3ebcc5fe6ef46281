"""
A mount of the bucket in a folder of an instance, by rclone and systemd.

Why `--vfs-cache-mode off`: with it, close() returns when S3 has acknowledged the object and its
checksum, and a rename of a closed file when S3 has acknowledged the copy; if S3 refuses, they fail.
So a result that was acknowledged to the broker is in S3. Every other mode uses a cache on the
manager's disk, which is lost with the manager, and close() reports no failed uploads.

After a rename that S3 refused, rclone still lists the new name until the listing expires, although
opening it fails: no such file. So the redelivered message writes the result; but the dealer, which
only lists names, counts the tile as done until then.
https://rclone.org/commands/rclone_mount/#vfs-file-caching
"""

import shlex
from dataclasses import dataclass

import fabric

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import CommandError
from runbook_lib.core.progress import Progress
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.hosts import installed
from runbook_lib.hosts.installed import HostFile, ensure_files
from runbook_lib.hosts.ssh import run

MOUNT_UNIT = "tiles-on-s3"
MOUNT_SETTINGS = f"/etc/{MOUNT_UNIT}"
CONFIG, UNIT_FILE = f"{MOUNT_SETTINGS}/rclone.conf", f"/etc/systemd/system/{MOUNT_UNIT}.service"
MOUNT_PATHS = [MOUNT_SETTINGS, UNIT_FILE]
RCLONE = f"rclone --config {CONFIG}"
_REMOTE = "tiles"
_INSTALL = installed.install_packages("rclone", "fuse3")
_PREPARE = f"""
type rclone fusermount3 >/dev/null 2>&1 || {{ {_INSTALL}; echo rclone; }}
grep -qw fuse /proc/filesystems || modprobe fuse
"""


@dataclass(frozen=True)
class Remote:
    """
    The instances' access to the bucket of the tiles; `endpoint` "" is AWS.
    """

    bucket: str
    region: str
    endpoint: str = ""

    @property
    def path(self) -> str:
        """
        The bucket's name in rclone's commands.
        """
        return f"{_REMOTE}:{self.bucket}"


def _config_file(remote: Remote) -> HostFile:
    """
    Return rclone's settings, without a key: `env_auth` uses the role's from the metadata service.

    `no_check_bucket`: the role may not create buckets. `no_head`: the response to a PUT has the
    checksum, which rclone compares; a HEAD after each PUT would only fetch it again.
    """
    own = f"provider = Other\nendpoint = {remote.endpoint}\nforce_path_style = true"
    content = f"""[{_REMOTE}]
type = s3
env_auth = true
region = {remote.region}
{own if remote.endpoint else "provider = AWS"}
no_check_bucket = true
no_head = true
list_version = 2
"""
    return HostFile(CONFIG, content, mode="0600")


def mount_files(remote: Remote, directory: str, volume: str, listing_s: int) -> list[HostFile]:
    """
    Return the files of the mount. `listing_s`: how long a listing is cached; what is written
    through the mount is visible at once.

    Of rclone's options, `--use-server-modtime` saves a request for the time of each file, and below
    the cutoff of 4 MiB a tile is one PUT, with one MD5.

    The unit starts before Docker, so that no container finds an empty folder at boot. When rclone
    dies, containers keep a dead mount forever: they are killed, and Swarm starts others.
    """
    options = f"""--config {CONFIG} --allow-other --uid 1000 --gid 1000 --umask 022
    --vfs-cache-mode off --use-server-modtime --dir-cache-time {listing_s}s
    --buffer-size 0 --streaming-upload-cutoff 4M --log-level NOTICE"""
    folder, name = shlex.quote(directory), shlex.quote(volume)
    renew = f"docker ps --quiet --filter volume={name} | xargs --no-run-if-empty docker kill"
    renewed = f"if systemctl --quiet is-active docker; then {renew} >/dev/null; fi"
    unit = f"""[Unit]
Description=The tiles of {folder}, in S3
Wants=network-online.target
After=network-online.target
Before=docker.service
StartLimitIntervalSec=0

[Service]
Type=notify
Environment=GOMEMLIMIT=96MiB
ExecStartPre=-/bin/fusermount3 -uz {folder}
ExecStart=/usr/bin/rclone mount {remote.path} {folder} {" ".join(options.split())}
ExecStartPost=/bin/sh -c {shlex.quote(renewed)}
ExecStop=/bin/fusermount3 -uz {folder}
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
"""
    return [_config_file(remote), HostFile(UNIT_FILE, unit)]


def ensure_rclone(connection: fabric.Connection, role: str) -> Changes:
    """
    Install the distribution's rclone and FUSE mount command.
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
    for path in ensure_files(connection, [_config_file(remote)]):
        changes.add("file", role, f"{path} written")
    return changes


def wait_for_access(connection: fabric.Connection, remote: Remote, role: str) -> None:
    """
    Wait until the instance can list the bucket with its role; on AWS its keys are delayed.
    """
    listing = f"timeout 20 {RCLONE} lsf --max-depth 1 --low-level-retries 1"
    listing = f"{listing} {shlex.quote(remote.path)}"

    def probe() -> bool | Pending:
        try:
            run(connection, f"{listing} 2>&1 >/dev/null", sudo=True)
        except CommandError as error:
            return Pending(str(error).strip().splitlines()[-1][:200])
        return True

    wait_for(
        f"{role} reaches {remote.bucket}",
        probe,
        timeout_s=180,
        poll_s=2,
        next_step="check s3_endpoint_url: the instance must reach S3 at this address",
    )


def ensure_mounted(
    connection: fabric.Connection, remote: Remote, directory: str, volume: str, listing_s: int
) -> Changes:
    """
    Mount the bucket, now and after every boot; remount it if its settings have changed.

    The folder below it belongs to root and is read-only: while the mount is missing, services
    find no tiles, and cannot write tiles that the mount would hide later.
    """
    changes = Changes()
    folder = shlex.quote(directory)
    run(connection, f"[ -d {folder} ] || install -d -m 0555 -o root -g root {folder}", sudo=True)
    written = ensure_files(connection, mount_files(remote, directory, volume, listing_s))
    for path in written:
        changes.add("file", path, "written")
    with Progress(f"{remote.bucket} mounted"):
        if installed.start_unit(connection, MOUNT_UNIT, changed=bool(written)):
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
    for path in installed.remove_installed(connection, [f"{MOUNT_UNIT}.service"], MOUNT_PATHS):
        changes.add("file", role, f"{path} removed")
    return changes


def find_mount_files(connection: fabric.Connection) -> list[str]:
    """
    Find the existing files of the mount on the instance.
    """
    return installed.find_installed(connection, MOUNT_PATHS)
