"""
What the backup of the tiles consists of on an instance: its user and key, its files, its units.

Pure texts: they are put in place, run and removed by `tiles_backup`.
"""

import inspect
import json
from pathlib import Path

from runbook_lib.cloud.instances import Instance
from runbook_lib.hosts.agents import backup
from runbook_lib.hosts.agents.backup import SERVED, SETTINGS, STATE
from runbook_lib.hosts.files import HostFile

USER = UNIT = "tiles-backup"
PROGRAM = "/usr/local/lib/tiles-backup/backup.py"

# the services write as uid 1000, so the copy has to belong to it, and so does the key that fetches
PREPARE = f"""
for directory in {{directories}}; do
  if findmnt --noheadings --mountpoint $directory >/dev/null; then
    echo "$directory is a mount: run 36_remove_tiles_on_s3 first, or do without this backup" >&2
    exit 1
  fi
done
command -v rsync >/dev/null || {{{{
  export DEBIAN_FRONTEND=noninteractive
  apt-get -o DPkg::Lock::Timeout=600 -qq update >/dev/null
  apt-get -o DPkg::Lock::Timeout=600 -qq install -y rsync >/dev/null 2>&1
}}}}
if ! id {USER} >/dev/null 2>&1; then
  useradd --system --user-group --password '*' --shell /bin/sh \\
    --home-dir {SETTINGS} --no-create-home {USER}
  echo user
fi
install -d {SETTINGS} {SETTINGS}/.ssh $(dirname {PROGRAM})
install -d -o 1000 -g 1000 {STATE}
install -d -o {USER} -g {USER} $(dirname {SERVED})
for directory in {{directories}}; do
  [ -d $directory ] || install -d -o 1000 -g 1000 $directory
done
if [ ! -f {SETTINGS}/key ]; then
  rm -f {SETTINGS}/key.partial*
  ssh-keygen -q -t ed25519 -N '' -C {USER}@{{role}} -f {SETTINGS}/key.partial
  chown 1000:1000 {SETTINGS}/key.partial
  mv {SETTINGS}/key.partial {SETTINGS}/key
  echo key
fi
ssh-keygen -y -f {SETTINGS}/key
"""

FIND_LEFT = f"""
for path in {SETTINGS} {STATE} $(dirname {SERVED}) $(dirname {PROGRAM}) \\
  /etc/systemd/system/{UNIT}.service /etc/systemd/system/{UNIT}.timer; do
  if [ -e $path ]; then echo $path; fi
done
"""

REMOVE = f"""
systemctl disable --now {UNIT}.timer >/dev/null 2>&1 || true
systemctl stop {UNIT}.service >/dev/null 2>&1 || true
for path in $({FIND_LEFT}); do echo $path; rm -rf $path; done
systemctl daemon-reload
if id {USER} >/dev/null 2>&1; then userdel {USER} && echo user; fi
"""

_SERVICE = f"""[Unit]
Description=Copy the tiles of the other manager, and compare every checksum
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
User=1000
ExecStart=/usr/bin/python3 {PROGRAM} pull
TimeoutStartSec=3600
Nice=10
NoNewPrivileges=yes
"""

_TIMER = """[Unit]
Description=Back the tiles up, so that none is lost that is {period} s old

[Timer]
OnActiveSec=0
OnUnitActiveSec={seconds:g}
AccuracySec=1

[Install]
WantedBy=timers.target
"""


def backup_files(
    directories: list[str], peer: Instance, public_key: str, pinned: list[str], period_s: int
) -> list[HostFile]:
    """
    The files of one side, whose `peer` is the other: it reads that one's tiles, and shows its own.
    """
    serve = f'restrict,from="{peer.private_ip}",command="/usr/bin/python3 {PROGRAM} serve"'
    ssh_config = {
        "HostName": peer.private_ip,
        "User": USER,
        "IdentityFile": f"{SETTINGS}/key",
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": f"{SETTINGS}/known_hosts",
        "HostKeyAlias": peer.instance_id,
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
        "ConnectTimeout": "5",
        "ServerAliveInterval": "5",
    }
    lines = ["Host other-manager", *(f"  {key} {value}" for key, value in ssh_config.items())]
    options = ["read only = yes", "use chroot = no", "exclude = .*"]
    modules = [
        line
        for directory in directories
        for line in (f"[{Path(directory).name}]", f"path = {directory}", *options)
    ]
    timer = _TIMER.format(seconds=period_s / 2, period=period_s)
    return [
        HostFile(PROGRAM, inspect.getsource(backup)),
        HostFile(f"{SETTINGS}/settings.json", json.dumps(directories) + "\n"),
        HostFile(f"{SETTINGS}/known_hosts", "\n".join(pinned) + "\n"),
        HostFile(f"{SETTINGS}/ssh_config", "\n".join(lines) + "\n"),
        HostFile(f"{SETTINGS}/rsyncd.conf", "\n".join(modules) + "\n"),
        HostFile(f"{SETTINGS}/.ssh/authorized_keys", f"{serve} {public_key}\n"),
        HostFile(f"/etc/systemd/system/{UNIT}.service", _SERVICE),
        HostFile(f"/etc/systemd/system/{UNIT}.timer", timer),
    ]
