"""
The tiles, backed up from the manager to `manager-backup` by a systemd timer, with checksums.

Source: section "Disponibilidad" of the guide, solution 1, which asks for a periodic copy (cron).
Each of the two has an SSH key of its own, made there and never moved. It opens one thing on the
other: `backup_agent serve`, which reads tiles and nothing else, for that one address.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import fabric
import pandas as pd

from runbook_lib.availability.standby.backup_files import (
    FIND_LEFT,
    PREPARE,
    PROGRAM,
    REMOVE,
    UNIT,
    backup_files,
)
from runbook_lib.cloud.instances import BACKUP, Instance
from runbook_lib.cloud.key_pairs import known_hosts_path
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import NotFoundError
from runbook_lib.core.parallel import for_each
from runbook_lib.core.progress import Progress
from runbook_lib.hosts.agents.backup import STATE
from runbook_lib.hosts.files import ensure_files
from runbook_lib.hosts.ssh import run


@dataclass(frozen=True)
class Restored:
    """
    What a restore into an empty folder brought, compared checksum by checksum.
    """

    files: int
    equal: int
    differing: tuple[str, ...]
    mib: float
    seconds: float


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

    A copy starts every half period: what was written at the start of one is safe at the end of
    the next, so that nothing older than a period is ever unsaved.
    """
    changes = Changes()
    other = {"manager": BACKUP, BACKUP: "manager"}
    quoted = shlex.join(directories)

    def prepare(role: str) -> str:
        script = PREPARE.format(role=role, directories=quoted)
        *made, public = run(connections[role], script, sudo=True).splitlines()
        for what in made:
            changes.add("backup", role, f"{what} made")
        return public

    keys = for_each("Backup keys", {role: role for role in other}, prepare)

    def write(role: str) -> None:
        peer = instances[other[role]]
        pinned = _pinned(peer, key_file)
        files = backup_files(directories, peer, keys[peer.role], pinned, period_s)
        for path in ensure_files(connections[role], files):
            changes.add("backup", role, f"{path} written")

    for_each("Backup installed", {role: role for role in other}, write)
    timer_changed = any(c.name == BACKUP and ".timer" in c.action for c in changes)
    if any("/systemd/" in c.action for c in changes):
        for_each(
            "systemd told", connections, lambda c: run(c, "systemctl daemon-reload", sudo=True)
        )
    if start_timer(connections[BACKUP], anew=timer_changed):
        changes.add("backup", BACKUP, "timer started")
    return changes


def start_timer(standby: fabric.Connection, *, anew: bool = False) -> bool:
    """
    Let the timer run, from now on and after every boot; False where it did so, or there is none.
    """
    script = f"""
    systemctl -q cat {UNIT}.timer >/dev/null 2>&1 || exit 0
    if systemctl -q is-enabled {UNIT}.timer && systemctl -q is-active {UNIT}.timer; then
      [ {int(anew)} = 1 ] || exit 0
    fi
    systemctl enable {UNIT}.timer >/dev/null 2>&1
    systemctl restart {UNIT}.timer
    echo started
    """
    return run(standby, script, sudo=True).strip() == "started"


def stop_timer(standby: fabric.Connection) -> None:
    """
    No further copy, and none at work: from now on the tiles here are the ones in use.
    """
    units = f"{UNIT}.timer {UNIT}.service"
    run(standby, f"systemctl disable {UNIT}.timer 2>/dev/null; systemctl stop {units}", sudo=True)


def pull(connection: fabric.Connection) -> dict[str, float]:
    """
    Copy from the other manager now; its record, as in `find_runs`.

    Raises
    ------
    CommandError
        Where the other does not answer, or the checksums do not agree.
    """
    look = f"journalctl --unit {UNIT} --no-pager --output cat --lines 8; exit 1"
    script = f"systemctl start {UNIT}.service 2>/dev/null || {{ {look}; }}\n"
    with Progress(f"Tiles copied to {connection.host}"):
        last = run(connection, f"{script}tail -1 {STATE}/runs.jsonl", sudo=True)
    return dict(json.loads(last))


def find_runs(standby: fabric.Connection) -> pd.DataFrame:
    """
    The backups made, the last 500; columns: began, finished (UTC), seconds, files, copied.
    """
    text = run(standby, f"cat {STATE}/runs.jsonl 2>/dev/null || true", sudo=True)
    columns = ["began", "finished", "files", "copied"]
    runs = pd.DataFrame([json.loads(line) for line in text.splitlines()], columns=columns)
    seconds = (runs["finished"] - runs["began"]).astype(float).round(2)
    for name in ("began", "finished"):
        runs[name] = pd.to_datetime(runs[name].astype(float), unit="s", utc=True)
    runs.insert(2, "seconds", seconds)
    return runs


def exposure_s(runs: pd.DataFrame, period_s: float) -> float:
    """
    How old a tile may get before a backup has it: until the next one starts, and is done.

    As long as the last one took; infinite where none was made.
    """
    return period_s / 2 + float(runs["seconds"].iloc[-1]) if len(runs) else float("inf")


def check_restore(manager: fabric.Connection) -> Restored:
    """
    Restore everything into an empty folder of the manager, and compare with what it had promised.

    Raises
    ------
    NotFoundError
        Where there is no backup yet.
    """
    with Progress("Restored into an empty folder, and compared"):
        said = json.loads(run(manager, f"python3 {PROGRAM} restore", sudo=True))
    if not said["files"]:
        raise NotFoundError("expected a backup to restore from; it is empty")
    mib = round(said["bytes"] / 2**20, 1)
    differing = tuple(said["differing"])
    return Restored(said["files"], said["equal"], differing, mib, said["seconds"])


def remove_backup(connections: Mapping[str, fabric.Connection]) -> Changes:
    """
    Remove timer, keys, user and records on both sides; the tiles stay where they are.
    """
    changes = Changes()
    for role in sorted(connections, reverse=True):  # the one that pulls, then the one that serves
        connection = connections[role]
        for what in run(connection, REMOVE, sudo=True).split():
            changes.add("backup", role, f"{what} removed")
    return changes


def find_left(connections: Mapping[str, fabric.Connection]) -> list[str]:
    """
    What is there of the backup besides the tiles: `<role>: <path>`.
    """
    left = {role: run(c, FIND_LEFT, sudo=True).split() for role, c in connections.items()}
    return [f"{role}: {path}" for role, paths in left.items() for path in paths]


def _pinned(peer: Instance, key_file: str) -> list[str]:
    """
    The host keys of the other one as we pinned them: it is as sure of them as we are.
    """
    path = known_hosts_path(key_file)
    lines = path.read_text().splitlines() if path.exists() else []
    found = sorted(line for line in lines if line.startswith(f"{peer.instance_id} "))
    if found:
        return found
    raise NotFoundError(
        f"expected a pinned host key of {peer.role} ({peer.instance_id})",
        evidence=f"{path} has none",
        next_step="run 01_instances: it reads the host keys from the console output",
    )
