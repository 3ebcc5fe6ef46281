"""
The same tiles read in two ways, and counted before and after a migration.
"""

import shlex

import fabric
import pandas as pd

from runbook_lib.availability.tiles_on_s3.mount import RCLONE, Remote
from runbook_lib.core.progress import Progress
from runbook_lib.hosts.ssh import run


def read_folder(connection: fabric.Connection, directory: str, date: str) -> dict[str, str]:
    """
    The SHA-256 of all files of a date, read through a folder, by their path below it.
    """
    find = f"find . -path './*/{shlex.quote(date)}/*' -name '[!.]*' -type f -print0"
    script = f"cd {shlex.quote(directory)} && {find} | xargs -0 -r -P 8 -n 40 sha256sum"
    with Progress(f"{date} read from {directory}"):
        return _by_path(run(connection, script, sudo=True))


def read_bucket(connection: fabric.Connection, remote: Remote, date: str) -> dict[str, str]:
    """
    The same from the bucket, every byte fetched: on a node that has nothing of the manager's.
    """
    only = f"--include '/*/{shlex.quote(date)}/**'"
    script = f"{RCLONE} hashsum sha256 --download --checkers 16 {only} {remote.path} 2>/dev/null"
    with Progress(f"{date} read from {remote.bucket}"):
        return _by_path(run(connection, script, sudo=True))


def compare_readings(here: dict[str, str], there: dict[str, str]) -> pd.DataFrame:
    """
    Columns: surface, files (in either reading), equal (in both, with the same checksum).
    """
    paths = sorted(here.keys() | there.keys())
    rows = [(path.partition("/")[0], here.get(path) == there.get(path)) for path in paths]
    table = pd.DataFrame(rows, columns=["surface", "equal"])
    return (
        table.groupby("surface").agg(files=("equal", "size"), equal=("equal", "sum")).reset_index()
    )


def find_lost(before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    """
    Where the number of RAW tiles changed, or results are missing: "DESERT 2004-01-15: 5, not 6".

    Both tables as of `tiles.count_tiles`. More results are work that went on. Rejections are left
    out: they disappear when a tile is repaired.
    """
    counts = [frame.set_index(["surface", "date"])["tiles"] for frame in (before, after)]
    both = pd.concat(counts, axis=1, keys=["before", "now"]).fillna(0).astype(int).sort_index()
    return [
        f"{surface} {date}: {now}, not {was}"
        for (surface, date), was, now in both.itertuples()
        if surface != "REJECTED" and (now < was or (surface == "RAW" and now != was))
    ]


def _by_path(text: str) -> dict[str, str]:
    rows = (line.split(maxsplit=1) for line in text.splitlines())
    return {path.removeprefix("./"): digest for digest, path in rows}
