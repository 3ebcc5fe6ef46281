"""
The tiles, backed up from the manager to `manager-backup` by a systemd timer, with checksums.

Source: section "Disponibilidad" of the guide, solution 1, which asks for a periodic copy (cron).
Each of the two has its own SSH key, made there and never moved. On the other one it gives access
to `agents/backup.py serve` alone, which only reads tiles, and from that one address.
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
from runbook_lib.hosts.installed import ensure_files, find_installed, remove_installed, start_unit
from runbook_lib.hosts.ssh import get_pinned_keys, run


def ensure_backup(
    connections: Mapping[str, fabric.Connection],
    instances: Mapping[str, Instance],
    directories: list[str],
    *,
    key_file: str,
    period_s: int,
) -> Changes:
    """
    Install both sides, and start the timer on the one that keeps the backup.

    A copy starts every half period: what is written when one starts is safe when the next one is
    done, so that no tile older than a period is without a copy.
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
    Let the timer run, now and after every boot; False where it already does, or there is none.
    """
    installed = run(standby, f"systemctl -q cat {BACKUP_TIMER} >/dev/null 2>&1 && echo y || true")
    return bool(installed.strip()) and start_unit(standby, BACKUP_TIMER, changed=changed)


def stop_timer(standby: fabric.Connection) -> None:
    """
    Stop the timer, and the copy that runs: from now on the tiles here are the ones in use.
    """
    disable = f"systemctl disable {BACKUP_TIMER} 2>/dev/null"
    run(standby, f"{disable}; systemctl stop {BACKUP_TIMER} {BACKUP_SERVICE}", sudo=True)


def copy_now(connection: fabric.Connection) -> dict[str, float]:
    """
    Copy from the other manager now; returns the record, as in `find_backups`.

    Raises CommandError where the other does not answer, or the checksums do not agree.
    """
    log = f"journalctl --unit {BACKUP_SERVICE} --no-pager --output cat --lines 8; exit 1"
    script = f"systemctl start {BACKUP_SERVICE} 2>/dev/null || {{ {log}; }}\n"
    with Progress(f"Tiles copied to {connection.host}"):
        last = run(connection, f"{script}tail -1 {STATE_FOLDER}/runs.jsonl", sudo=True)
    return dict(json.loads(last))


def find_backups(standby: fabric.Connection) -> pd.DataFrame:
    """
    Find the backups made, the last 500; columns: began, finished (UTC), seconds, files, copied.
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
    How old a tile may get before a backup has it: half a period, and the time of the last backup.

    Infinite where there is none.
    """
    return period_s / 2 + float(runs["seconds"].iloc[-1]) if len(runs) else float("inf")


def check_restore(manager: fabric.Connection) -> dict[str, Any]:
    """
    Restore everything into an empty folder of the manager, and compare with its own checksums.

    The result has the keys files, equal, differing (the first 20 paths), bytes and seconds.

    Raises NotFoundError where there is no backup yet.
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
    for role in sorted(connections, reverse=True):  # the side that copies, then the one that serves
        removed = remove_installed(connections[role], [BACKUP_TIMER, BACKUP_SERVICE], BACKUP_PATHS)
        for what in [*removed, *run(connections[role], userdel, sudo=True).split()]:
            changes.add("backup", role, f"{what} removed")
    return changes


def find_backup_paths(connections: Mapping[str, fabric.Connection]) -> list[str]:
    """
    What is left of the backup besides the tiles: `<role>: <path>`.
    """
    left = {role: find_installed(c, BACKUP_PATHS) for role, c in connections.items()}
    return [f"{role}: {path}" for role, paths in left.items() for path in paths]
