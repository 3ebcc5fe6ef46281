"""
Copies of the tiles in folders and in the bucket: made by rclone, compared, counted and read.
"""

import json
import shlex

import fabric
import pandas as pd

from runbook_lib.availability.tiles_on_s3.mount import MOUNT_UNIT, RCLONE, Remote
from runbook_lib.core.errors import CommandError, ConflictError, IntegrityError
from runbook_lib.core.progress import Progress
from runbook_lib.hosts.ssh import run

_NO_TEMPORARY = "--exclude '*.writing'"
_COPY = f"--checksum --transfers 16 --checkers 16 --buffer-size 0 {_NO_TEMPORARY}"
"""`--checksum`: compare size and MD5, which S3 lists; modification times cost a request each."""
_FEWER = 10  # a copy may replace one with up to a tenth more files
_DIFFERENCES = 1  # rclone's exit code for differences, and for some failures


def check_equal(
    connection: fabric.Connection, source: str, target: str, *, exact: bool = False
) -> int:
    """
    Compare every file of `source` with the one in `target`; return the number of equal files.

    The comparison uses MD5: S3 computed its own on receipt, the disk's is computed now. With
    `exact`, the target must have no other files.

    Raises IntegrityError with the missing or different files; CommandError if the comparison is
    incomplete: rclone was killed, or could not list a folder.
    """
    one_way = "" if exact else "--one-way"
    compare = (
        f"{RCLONE} check {shlex.quote(source)} {shlex.quote(target)} {one_way} {_NO_TEMPORARY}"
    )
    script = f"""
    report=$(mktemp) log=$(mktemp) code=0
    {compare} --checkers 16 --combined $report >$log 2>&1 || code=$?
    echo $code $(grep -c '^=' $report || true)
    {{ grep -v '^=' $report || true; }} | head -8
    if [ $code != 0 ]; then tail -4 $log | sed 's/^/rclone: /'; fi
    rm $report $log
    """
    with Progress("Every checksum compared"):
        first, *rest = run(connection, script, sudo=True).splitlines()
    code, equal = (int(word) for word in first.split())
    differing = [line for line in rest if not line.startswith("rclone: ")]
    if code not in (0, _DIFFERENCES) or (code and not differing):
        raise CommandError(
            f"expected {source} and {target} to be compared to the end; rclone exited with {code}",
            evidence="\n".join(rest),
            next_step="run this notebook again: it goes on where it stopped",
        )
    if differing or not equal:
        raise IntegrityError(
            f"expected {target} to have every file of {source}, unchanged; {equal} are equal",
            evidence="\n".join(differing) or "there is no file to compare",
            next_step="run this notebook again; if a file differs each time, compare the two",
        )
    return equal


def copy_files(
    connection: fabric.Connection, source: str, target: str, *, exact: bool = False
) -> int:
    """
    Copy different files; with `exact`, remove files that exist only in the target.

    Returns the number of copied files.

    Raises ConflictError with `exact` if the source has markedly fewer files than the target.
    """
    action = "copy"
    if exact:
        files = check_worth(connection, source, target)
        action = f"sync --max-delete {files // _FEWER}"
    command = f"{RCLONE} {action} {shlex.quote(source)} {shlex.quote(target)} {_COPY} -v"
    script = f"report=$(mktemp); nice {command} >$report 2>&1 || {{ tail -5 $report; exit 1; }}\n"
    with Progress(f"{source} copied to {target}"):
        script += "grep -c ': Copied (' $report || true; rm $report"
        return int(run(connection, script, sudo=True))


def check_worth(connection: fabric.Connection, kept: str, removed: str) -> int:
    """
    Refuse to remove files if the kept copy has markedly fewer; return the number to remove.

    Raises ConflictError in that case: most likely the kept copy was lost and restarted.
    """
    here, there = _measure(connection, kept)[0], _measure(connection, removed)[0]
    if not here or here < there - there // _FEWER:
        raise ConflictError(
            f"expected {kept} to have about as many files as {removed}, which it replaces",
            evidence=f"{here} files are in {kept}, {there} in {removed}",
            next_step="if S3 lost them: on the manager,  sudo systemctl disable --now "
            f"{MOUNT_UNIT} , then run 31_tiles_on_s3: it fills S3 from {removed} (04_tiles, if it "
            f"is empty). If so few files are right:  sudo rm -r {shlex.quote(removed)}",
        )
    return there


def check_room(connection: fabric.Connection, source: str, target: str) -> None:
    """
    Refuse a copy that does not fit on the disk; files of an earlier copy need no extra space.
    """
    missing = _measure(connection, source)[1] - _measure(connection, target)[1]
    parent = shlex.quote(target.rpartition("/")[0])
    free = int(run(connection, f"df --output=avail -B1 {parent} | tail -1"))
    if missing * 1.2 > free:
        raise CommandError(
            f"expected room for {missing / 2**20:.0f} MiB of tiles on the manager's disk",
            evidence=f"{free / 2**20:.0f} MiB are free",
            next_step=f"make room under {parent}, or keep the tiles on S3",
        )


def read_folder(connection: fabric.Connection, directory: str, date: str) -> dict[str, str]:
    """
    Read the SHA-256 of all files of a date through a folder, by their path below it.
    """
    of_date = shlex.quote(f"./*/{date}/*")
    find = f"find . -path {of_date} -name '[!.]*' -type f -print0"
    script = f"cd {shlex.quote(directory)} && {find} | xargs -0 -r -P 8 -n 40 sha256sum"
    with Progress(f"{date} read from {directory}"):
        return _by_path(run(connection, script, sudo=True))


def read_bucket(connection: fabric.Connection, remote: Remote, date: str) -> dict[str, str]:
    """
    Read the same from the bucket, every byte downloaded: on a node without the manager's files.
    """
    only = f"--include {shlex.quote(f'/*/{date}/**')} {shlex.quote(remote.path)}"
    script = f"{RCLONE} hashsum sha256 --download --checkers 16 {only} 2>/dev/null"
    with Progress(f"{date} read from {remote.bucket}"):
        return _by_path(run(connection, script, sudo=True))


def compare_readings(here: dict[str, str], there: dict[str, str]) -> pd.DataFrame:
    """
    Compare; columns: surface, files (in either reading), equal (in both, with the same checksum).
    """
    paths = sorted(here.keys() | there.keys())
    rows = [(path.partition("/")[0], here.get(path) == there.get(path)) for path in paths]
    table = pd.DataFrame(rows, columns=["surface", "equal"])
    return (
        table.groupby("surface").agg(files=("equal", "size"), equal=("equal", "sum")).reset_index()
    )


def find_lost(before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """
    Find changed numbers of RAW tiles and missing results: "DESERT 2004-01-15: 5, not 6".

    Both tables come from `tiles.count_tiles`. Additional results come from continued work.
    Rejections are left out: they disappear when a tile is repaired.
    """
    counts = [frame.set_index(["surface", "date"])["tiles"] for frame in (before, after)]
    both = pd.concat(counts, axis=1, keys=["before", "now"]).fillna(0).astype(int).sort_index()
    return [
        f"{surface} {date}: {now}, not {was}"
        for (surface, date), was, now in both.itertuples()
        if surface != "REJECTED" and (now < was or (surface == "RAW" and now != was))
    ]


def _measure(connection: fabric.Connection, place: str) -> tuple[int, int]:
    """
    Count files and bytes of a folder or the bucket; zero if the folder does not exist.
    """
    quoted = shlex.quote(place)
    script = f"{RCLONE} size --json {_NO_TEMPORARY} {quoted}"
    if place.startswith("/"):
        script = f"if [ -d {quoted} ]; then {script}; fi"
    size = json.loads(run(connection, script, sudo=True) or '{"count": 0, "bytes": 0}')
    return size["count"], size["bytes"]


def _by_path(text: str) -> dict[str, str]:
    rows = (line.split(maxsplit=1) for line in text.splitlines())
    return {path.removeprefix("./"): digest for digest, path in rows}
