"""
The parts of the tile backup on an instance: user and key, files, units.

Only their text is here: `tiles_backup` writes, runs and removes them.
"""

import inspect
import json
import shlex
from pathlib import Path

from runbook_lib.cloud.instances import Instance
from runbook_lib.hosts.agents import backup
from runbook_lib.hosts.agents.backup import HASH_CACHE, SETTINGS_FOLDER, STATE_FOLDER
from runbook_lib.hosts.installed import HostFile, install_packages

BACKUP_USER = "tiles-backup"
BACKUP_SERVICE, BACKUP_TIMER = f"{BACKUP_USER}.service", f"{BACKUP_USER}.timer"
PROGRAM = "/usr/local/lib/tiles-backup/backup.py"
_UNIT_FILES = [f"/etc/systemd/system/{unit}" for unit in (BACKUP_SERVICE, BACKUP_TIMER)]
_FOLDERS = [str(Path(file).parent) for file in (HASH_CACHE, PROGRAM)]
BACKUP_PATHS = [SETTINGS_FOLDER, STATE_FOLDER, *_FOLDERS, *_UNIT_FILES]

# the services write as uid 1000, so the copy must belong to it, and so must the pulling key
_PREPARE = """
for directory in {directories}; do
  if findmnt --noheadings --mountpoint $directory >/dev/null; then
    echo "$directory is a mount: run 36_remove_tiles_on_s3 first, or do without this backup" >&2
    exit 1
  fi
done
command -v rsync >/dev/null || {{ {install_rsync}; }}
if ! id {user} >/dev/null 2>&1; then
  useradd --system --user-group --password '*' --shell /bin/sh \\
    --home-dir {settings} --no-create-home {user}
  echo user
fi
install -d {settings} {settings}/.ssh $(dirname {program})
install -d -o 1000 -g 1000 {state}
install -d -o {user} -g {user} $(dirname {cache})
for directory in {directories}; do
  [ -d $directory ] || install -d -o 1000 -g 1000 $directory
done
if [ ! -f {settings}/key ]; then
  rm -f {settings}/key.partial*
  ssh-keygen -q -t ed25519 -N '' -C {comment} -f {settings}/key.partial
  chown 1000:1000 {settings}/key.partial
  mv {settings}/key.partial {settings}/key
  echo key
fi
ssh-keygen -y -f {settings}/key
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


def prepare_script(role: str, directories: list[str]) -> str:
    """
    Return the script that creates user, folders and key; it prints these, and last the public key.
    """
    return _PREPARE.format(
        comment=shlex.quote(f"{BACKUP_USER}@{role}"),
        directories=shlex.join(directories),
        install_rsync=install_packages("rsync"),
        user=BACKUP_USER,
        settings=SETTINGS_FOLDER,
        state=STATE_FOLDER,
        cache=HASH_CACHE,
        program=PROGRAM,
    )


def side_files(
    directories: list[str], peer: Instance, public_key: str, pinned: list[str], period_s: int
) -> list[HostFile]:
    """
    Return the files of one side, which reads the tiles of its `peer` and serves its own.
    """
    serve = f'restrict,from="{peer.private_ip}",command="/usr/bin/python3 {PROGRAM} serve"'
    ssh_config = f"""Host other-manager
  HostName {peer.private_ip}
  User {BACKUP_USER}
  IdentityFile {SETTINGS_FOLDER}/key
  IdentitiesOnly yes
  UserKnownHostsFile {SETTINGS_FOLDER}/known_hosts
  HostKeyAlias {peer.instance_id}
  StrictHostKeyChecking yes
  BatchMode yes
  ConnectTimeout 5
  ServerAliveInterval 5
"""
    modules = "".join(
        f"[{Path(path).name}]\npath = {path}\nread only = yes\nuse chroot = no\nexclude = .*\n"
        for path in directories
    )
    timer = _TIMER.format(seconds=period_s / 2, period=period_s)
    return [
        HostFile(PROGRAM, inspect.getsource(backup)),
        HostFile(f"{SETTINGS_FOLDER}/settings.json", json.dumps(directories) + "\n"),
        HostFile(f"{SETTINGS_FOLDER}/known_hosts", "\n".join(pinned) + "\n"),
        HostFile(f"{SETTINGS_FOLDER}/ssh_config", ssh_config),
        HostFile(f"{SETTINGS_FOLDER}/rsyncd.conf", modules),
        HostFile(f"{SETTINGS_FOLDER}/.ssh/authorized_keys", f"{serve} {public_key}\n"),
        *map(HostFile, _UNIT_FILES, [_SERVICE, timer]),
    ]
