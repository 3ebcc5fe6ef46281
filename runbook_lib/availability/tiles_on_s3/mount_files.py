"""
What the mount of the bucket consists of on the manager: rclone's settings, and a unit.

Texts only: `mount` writes, runs and removes them.

Why `--vfs-cache-mode off`: with it, close() returns when S3 has acknowledged the object and its
checksum, and a rename of a closed file when S3 has acknowledged the copy; if S3 refuses, they fail.
So a result that was acknowledged to the broker is in S3. Every other mode answers from a cache on
the manager's disk, which is lost with the manager, and close() reports no failure of an upload.

After a rename that S3 refused, rclone still lists the new name until the listing expires, although
opening it fails: no such file. So the redelivered message writes the result; but the dealer, which
only reads names, believes until then that the tile is done.
https://rclone.org/commands/rclone_mount/#vfs-file-caching
"""

import shlex
from dataclasses import dataclass

from runbook_lib.hosts.files import HostFile

MOUNT_UNIT = "tiles-on-s3"
MOUNT_SETTINGS = f"/etc/{MOUNT_UNIT}"
CONFIG = f"{MOUNT_SETTINGS}/rclone.conf"
UNIT_FILE = f"/etc/systemd/system/{MOUNT_UNIT}.service"
MOUNT_PATHS = [MOUNT_SETTINGS, UNIT_FILE]
RCLONE = f"rclone --config {CONFIG}"
_REMOTE = "tiles"
NO_TEMPORARY = "--exclude '*.writing'"
COPY = f"--checksum --transfers 16 --checkers 16 --buffer-size 0 {NO_TEMPORARY}"
"""`--checksum`: compare size and MD5, which S3 lists; modification times cost a request each."""


@dataclass(frozen=True)
class Remote:
    """
    The bucket of the tiles as the instances reach it; `endpoint` "" for AWS's own.
    """

    bucket: str
    region: str
    endpoint: str = ""

    @property
    def path(self) -> str:
        """
        The bucket as rclone's commands name it.
        """
        return f"{_REMOTE}:{self.bucket}"


def config_file(remote: Remote) -> HostFile:
    """
    Rclone's settings. They hold no key: `env_auth` takes the role's from the metadata service.

    `no_check_bucket`: the role may not make buckets. `no_head`: the response to a PUT has the
    checksum, which rclone compares; a HEAD after each PUT would only fetch it again.
    """
    lines = ["type = s3", "env_auth = true", f"region = {remote.region}"]
    if remote.endpoint:
        lines += ["provider = Other", f"endpoint = {remote.endpoint}", "force_path_style = true"]
    else:
        lines += ["provider = AWS"]
    lines += ["no_check_bucket = true", "no_head = true", "list_version = 2"]
    return HostFile(CONFIG, "\n".join([f"[{_REMOTE}]", *lines]) + "\n", mode="0600")


def mount_files(remote: Remote, directory: str, volume: str, listing_s: int) -> list[HostFile]:
    """
    The files of the mount. `listing_s`: how long a listing is cached; what is written through
    the mount is visible at once.

    The unit starts before Docker, so that no container finds an empty folder at boot. When rclone
    dies, containers keep a dead mount for ever: they are killed, and Swarm starts others.
    """
    options = {
        "--config": CONFIG,
        "--allow-other": "",
        "--uid": "1000",
        "--gid": "1000",
        "--umask": "022",
        "--vfs-cache-mode": "off",
        "--use-server-modtime": "",  # a file's time would cost a request for each
        "--dir-cache-time": f"{listing_s}s",
        "--buffer-size": "0",
        "--streaming-upload-cutoff": "4M",  # a tile is one PUT, with one MD5
        "--log-level": "NOTICE",
    }
    command = " ".join(f"{name} {value}".strip() for name, value in options.items())
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
ExecStart=/usr/bin/rclone mount {remote.path} {folder} {command}
ExecStartPost=/bin/sh -c '{renewed}'
ExecStop=/bin/fusermount3 -uz {folder}
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
"""
    return [config_file(remote), HostFile(UNIT_FILE, unit)]
