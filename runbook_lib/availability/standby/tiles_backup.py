"""
The backup of the tiles from the manager to `manager-backup`, by a systemd timer, with checksums.

Source: section "Disponibilidad" of the guide, solution 1, which requires a periodic copy (cron).
Each of the two has its own SSH key, generated there and never moved. On the other, it allows only
`agents/backup.py serve`, which only reads tiles, and only from that one address.
"""

import json
from collections.abc import Mapping
from typing import Any

import fabric
import pandas as pd

from runbook_lib.availability.standby import backup_files
from runbook_lib.availability.standby.backup_files import BACKUP_PATHS, BACKUP_SERVICE, BACKUP_TIMER
from runbook_lib.cloud.instances import Instance
from runbook_lib.cloud.roles import BACKUP, MANAGER
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import NotFoundError
from runbook_lib.core.parallel import for_each
from runbook_lib.core.progress import Progress
from runbook_lib.hosts.agents.backup import STATE_FOLDER
from runbook_lib.hosts.host_keys import get_pinned_keys
from runbook_lib.hosts.installed import ensure_files, find_installed, remove_installed, start_unit
from runbook_lib.hosts.ssh import run


def ensure_backup(
    connections: Mapping[str, fabric.Connection],
    instances: Mapping[str, Instance],
    directories: list[str],
    *,
    key_file: str,
    period_s: int,
) -> Changes:
    """
    Install both sides, and start the timer on the one with the backup.

    A copy starts every half period: tiles written during one copy are safe after the next, so that
    no tile older than a period is without a copy.
    """
    changes = Changes()
    sides = {role: role for role in (MANAGER, BACKUP)}

    def prepare(role: str) -> str:
        script = backup_files.prepare_script(role, directories)
        *made, public_key = run(connections[role], script, sudo=True).splitlines()
        for what in made:
            changes.add("backup", role, f"{what} made")
        return public_key

    keys = for_each("Backup keys", sides, prepare)

    def write(role: str) -> list[str]:
        peer = instances[BACKUP if role == MANAGER else MANAGER]
        pinned = get_pinned_keys(peer, key_file)
        files = backup_files.side_files(directories, peer, keys[peer.role], pinned, period_s)
        written = ensure_files(connections[role], files)
        for path in written:
            changes.add("backup", role, f"{path} written")
        if any("/systemd/" in path for path in written):
            run(connections[role], "systemctl daemon-reload", sudo=True)
        return written

    written = for_each("Backup installed", sides, write)
    if start_timer(connections[BACKUP], changed=any(".timer" in path for path in written[BACKUP])):
        changes.add("backup", BACKUP, "timer started")
    return changes


def start_timer(standby: fabric.Connection, *, changed: bool = False) -> bool:
    """
    Run the timer now and after every boot; return False if it already does, or there is none.
    """
    installed = run(standby, f"systemctl -q cat {BACKUP_TIMER} >/dev/null 2>&1 && echo y || true")
    return bool(installed.strip()) and start_unit(standby, BACKUP_TIMER, changed=changed)


def stop_timer(standby: fabric.Connection) -> None:
    """
    Stop the timer and a running copy: from now on the tiles on this side are in use.
    """
    disable = f"systemctl disable {BACKUP_TIMER} 2>/dev/null"
    run(standby, f"{disable}; systemctl stop {BACKUP_TIMER} {BACKUP_SERVICE}", sudo=True)


def copy_now(connection: fabric.Connection) -> dict[str, float]:
    """
    Copy from the other manager now; return the record, as in `find_backups`.

    Raises CommandError if the other does not respond, or the checksums differ.
    """
    log = f"journalctl --unit {BACKUP_SERVICE} --no-pager --output cat --lines 8; exit 1"
    script = f"systemctl start {BACKUP_SERVICE} 2>/dev/null || {{ {log}; }}\n"
    with Progress(f"Tiles copied to {connection.host}"):
        last = run(connection, f"{script}tail -1 {STATE_FOLDER}/runs.jsonl", sudo=True)
    return dict(json.loads(last))


def find_backups(standby: fabric.Connection) -> pd.DataFrame:
    """
    Read the records of the last 500 backups; columns: began, finished (UTC), seconds, files,
    copied.
    """
    text = run(standby, f"cat {STATE_FOLDER}/runs.jsonl 2>/dev/null || true", sudo=True)
    columns = ["began", "finished", "files", "copied"]
    runs = pd.DataFrame([json.loads(line) for line in text.splitlines()], columns=columns)
    seconds = (runs["finished"] - runs["began"]).astype(float).round(2)
    for name in ("began", "finished"):
        runs[name] = pd.to_datetime(runs[name].astype(float), unit="s", utc=True)
    runs.insert(2, "seconds", seconds)
    return runs


def exposure_s(runs: pd.DataFrame, period_s: float) -> float:
    """
    Compute the longest time before a tile is backed up: half a period plus the last duration.

    Infinite without a backup.
    """
    return period_s / 2 + float(runs["seconds"].iloc[-1]) if len(runs) else float("inf")


def check_restore(manager: fabric.Connection) -> dict[str, Any]:
    """
    Restore everything into an empty folder on the manager, and compare it with its own checksums.

    The result has the keys files, equal, differing (the first 20 paths), bytes and seconds.

    Raises NotFoundError if there is no backup yet.
    """
    with Progress("Restored into an empty folder, and compared"):
        output = run(manager, f"python3 {backup_files.PROGRAM} restore", sudo=True)
    result: dict[str, Any] = json.loads(output)
    if not result["files"]:
        raise NotFoundError(
            "expected a backup to restore from; it has no files",
            next_step="run 04_tiles, then 30_manager_backup",
        )
    return result


def remove_backup(connections: Mapping[str, fabric.Connection]) -> Changes:
    """
    Remove timer, keys, user and records on both sides; the tiles stay where they are.
    """
    changes = Changes()
    user = backup_files.BACKUP_USER
    userdel = f"if id {user} >/dev/null 2>&1; then userdel {user} && echo user; fi"
    for role in sorted(connections, reverse=True):  # the pulling side, then the serving side
        removed = remove_installed(connections[role], [BACKUP_TIMER, BACKUP_SERVICE], BACKUP_PATHS)
        for what in [*removed, *run(connections[role], userdel, sudo=True).split()]:
            changes.add("backup", role, f"{what} removed")
    return changes


def find_backup_paths(connections: Mapping[str, fabric.Connection]) -> list[str]:
    """
    Find what is left of the backup besides the tiles: `<role>: <path>`.
    """
    left = {role: find_installed(c, BACKUP_PATHS) for role, c in connections.items()}
    return [f"{role}: {path}" for role, paths in left.items() for path in paths]
