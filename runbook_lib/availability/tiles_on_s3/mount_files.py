"""
What the mount of the bucket consists of on the manager: rclone's settings, a unit, and the scripts.

Pure texts: they are put in place, run and removed by `s3_mount`.

Why `--vfs-cache-mode off`: with it, close() returns when S3 has acknowledged the object and its
checksum, and a rename of a closed file when it has acknowledged the copy; what it refuses is their
error. So a result that was acknowledged to the broker is in S3. Every other mode answers from a
cache on the manager's disk, which is lost with the manager, and close() reports no failure of an
upload.

After a rename that S3 refused, rclone lists the name until its listing is old, though whoever opens
it hears that there is no such file. So the message, delivered again, writes the result; but the
dealer, who looks at names, takes the tile for done until then.
https://rclone.org/commands/rclone_mount/#vfs-file-caching
"""

import shlex
from dataclasses import dataclass

from runbook_lib.hosts.files import HostFile

UNIT = "tiles-on-s3"
SETTINGS = f"/etc/{UNIT}"
CONFIG = f"{SETTINGS}/rclone.conf"
UNIT_FILE = f"/etc/systemd/system/{UNIT}.service"
RCLONE = f"rclone --config {CONFIG}"
REMOTE = "tiles"
NO_TEMPORARY = "--exclude '*.writing'"
COPY = f"--checksum --transfers 16 --checkers 16 --buffer-size 0 {NO_TEMPORARY}"
"""`--checksum`: sizes and MD5, which S3 has for every object; times would cost a request each."""


@dataclass(frozen=True)
class Remote:
    """
    Where the tiles go: a bucket, as the instances reach it; `endpoint` "" for AWS's own.
    """

    bucket: str
    region: str
    endpoint: str = ""

    @property
    def path(self) -> str:
        """
        The bucket as rclone's commands name it.
        """
        return f"{REMOTE}:{self.bucket}"


def config_file(remote: Remote) -> HostFile:
    """
    Rclone's settings. No key is in them: `env_auth` asks the metadata service for the role's.

    `no_check_bucket`: the role may not make buckets. `no_head`: the answer to a PUT has the
    checksum, which rclone compares; a HEAD after each would ask for it again.
    """
    lines = ["type = s3", "env_auth = true", f"region = {remote.region}"]
    if remote.endpoint:
        lines += ["provider = Other", f"endpoint = {remote.endpoint}", "force_path_style = true"]
    else:
        lines += ["provider = AWS"]
    lines += ["no_check_bucket = true", "no_head = true", "list_version = 2"]
    return HostFile(CONFIG, "\n".join([f"[{REMOTE}]", *lines]) + "\n", mode="0600")


def mount_files(remote: Remote, directory: str, volume: str, listing_s: int) -> list[HostFile]:
    """
    The files of the mount. `listing_s`: how long a listing is believed; what is written through
    the mount is seen at once.

    The unit comes before Docker, so that no container finds an empty folder at boot. One that held
    the mount of an rclone that died has a dead one for ever: it is killed, and Swarm starts
    another.
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


PREPARE = """
if ! command -v rclone >/dev/null || ! command -v fusermount3 >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get -o DPkg::Lock::Timeout=600 -qq install -y rclone fuse3 >/dev/null 2>&1 || {
    apt-get -qq update >/dev/null && apt-get -qq install -y rclone fuse3 >/dev/null 2>&1; }
  echo rclone
fi
grep -qw fuse /proc/filesystems || modprobe fuse
"""

STATE = """
if findmnt --noheadings --mountpoint {directory} >/dev/null; then echo mounted; fi
if [ -d {aside} ]; then echo aside; fi
if [ -d {directory} ] && [ -n "$(timeout 60 ls -A {directory})" ]; then echo filled; fi
"""

FIND_LEFT = f"""
for path in {SETTINGS} {UNIT_FILE}; do if [ -e $path ]; then echo $path; fi; done
"""

REMOVE = f"""
systemctl disable --now {UNIT}.service >/dev/null 2>&1 || true
for path in $({FIND_LEFT}); do echo $path; rm -rf $path; done
systemctl daemon-reload
"""
