"""
Tiles for a load test: hard links to the RAW tiles under other dates, in a separate folder.

So the guide's tiles are neither dealt nor overwritten, and need no extra space; the results are
real.
"""

import json
import math
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import fabric

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import CommandError, ConflictError
from runbook_lib.core.progress import Progress
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.geodiff.tiles import DataSet
from runbook_lib.hosts.ssh import run

FOLDER = "/srv/tiles-load"
_RESERVE_BYTES = 2 * 2**30
_RESULTS_TO_RAW = 3.0
"""Bytes of results per byte of RAW, assumed before any result exists."""

_MEASURE = """
import json, os, sys
root = sys.argv[1]
def files(surface, day):
    for folder, _, names in os.walk(os.path.join(root, surface, day)):
        yield from (os.path.join(folder, n) for n in names if n.endswith(".png") and n[0] != ".")
raw = sorted(os.listdir(root + "/RAW")) if os.path.isdir(root + "/RAW") else []
sizes = {}
for surface in (s for s in os.listdir(root) if raw and not s.startswith(".")):
    each = [os.stat(f).st_blocks * 512 for f in files(surface, raw[0])]
    sizes[surface] = sum(each) / len(each) if each else 0
disk = os.statvfs(root)
here = os.stat(root).st_dev == os.stat(os.path.dirname(sys.argv[2])).st_dev
print(json.dumps({"here": here, "dates": len(raw),
    "tiles": sum(1 for _ in files("RAW", raw[0])) if raw else 0,
    "sizes": sizes, "free": disk.f_bavail * disk.f_frsize, "inodes": disk.f_favail}))
"""

_LINK = """
import datetime, os, sys
source, target, count = sys.argv[1] + "/RAW", sys.argv[2], int(sys.argv[3])
days = sorted(os.listdir(source))
for number in range(count):
    day = days[number % len(days)]
    new = str(datetime.date(3000, 1, 1) + datetime.timedelta(number))
    for folder, _, names in os.walk(f"{source}/{day}"):
        made = f"{target}/RAW/{new}{folder[len(source) + 1 + len(day):]}"
        os.makedirs(made)
        for name in names:
            os.link(f"{folder}/{name}", f"{made}/{name}")
owner = os.stat(sys.argv[1])
os.chown(target, owner.st_uid, owner.st_gid)
print("linked")
"""


@dataclass(frozen=True)
class Room:
    """
    The disk space that a load test needs on the manager, and the free space.
    """

    dates: int
    tiles: int
    needed_bytes: int
    free_bytes: int

    def __repr__(self) -> str:
        return (
            f"{self.tiles} tiles of {self.dates} dates; at most {self.needed_bytes / 2**30:.1f} GiB"
            f" of results, {self.free_bytes / 2**30:.1f} GiB free"
        )


def get_room(manager: fabric.Connection, data: DataSet, most_tiles: int) -> Room:
    """
    Estimate the disk space for the results from those of one date.

    Raises ConflictError if the disk is too full, there is no tile to link, or the tiles are on S3.
    """
    script = f"python3 -c {shlex.quote(_MEASURE)} {shlex.quote(data.directory)} {FOLDER}"
    disk = json.loads(run(manager, script, sudo=True))
    if not disk["here"]:
        raise ConflictError(
            f"expected {data.directory} on the manager's disk, for hard links; it is a mount",
            evidence="31_tiles_on_s3 was run",
            next_step="run 36_remove_tiles_on_s3 first",
        )
    if not disk["tiles"]:
        raise ConflictError(
            f"expected RAW tiles in {data.directory}; there are none", next_step="run 04_tiles"
        )
    raw = disk["sizes"].pop("RAW")
    results = sum(disk["sizes"].values()) or raw * _RESULTS_TO_RAW
    dates = math.ceil(most_tiles / disk["tiles"])
    tiles = dates * disk["tiles"]
    room = Room(dates, tiles, int(tiles * results), disk["free"])
    if room.needed_bytes + _RESERVE_BYTES > room.free_bytes or tiles * 5 > disk["inodes"]:
        raise ConflictError(
            f"expected room for the results of {tiles} tiles on the manager; there is too little",
            evidence=f"{room}; {disk['inodes']} inodes free",
            next_step="choose fewer or shorter steps, a smaller batch, or more manager_disk_gib",
        )
    return room


@contextmanager
def linked(manager: fabric.Connection, data: DataSet, room: Room) -> Iterator[str]:
    """
    Link the tiles, yield their folder, and remove them at the end.

    The removal runs in the background on the manager: an interrupt need not wait for it.
    """
    remove_load_tiles(manager)
    script = f"install -d {FOLDER}; python3 -c {shlex.quote(_LINK)}"
    script += f" {shlex.quote(data.directory)} {FOLDER} {room.dates:d}"
    try:
        with Progress(f"{room.tiles} tiles linked"):
            run(manager, script, sudo=True)
        yield FOLDER
    finally:
        _begin_to_remove(manager)


def remove_load_tiles(manager: fabric.Connection, timeout_s: float = 300) -> Changes:
    """
    Remove leftover tiles of a load test, and wait until they are gone.
    """

    def probe() -> bool | Pending:
        left = run(manager, f"ls -d {FOLDER}* 2>/dev/null || true", sudo=True).split()
        return not left or Pending(", ".join(left))

    changes = Changes()
    if _begin_to_remove(manager):
        wait_for("Tiles of a load test removed", probe, timeout_s=timeout_s)
        changes.add("folder", FOLDER, "removed")
    return changes


def _begin_to_remove(manager: fabric.Connection) -> bool:
    # renamed, so that the folder is gone at once, and removed in the background
    script = f"""
if [ -e {FOLDER} ]; then mv {FOLDER} {FOLDER}.removed.$(date +%s%N); fi
left=$(ls -d {FOLDER}.removed.* 2>/dev/null || true)
[ -z "$left" ] && exit
echo left
setsid nohup nice rm -rf $left >/dev/null 2>&1 </dev/null &
"""
    try:
        return bool(run(manager, script, sudo=True).strip())
    except CommandError as error:
        raise CommandError(
            f"expected to remove {FOLDER} on the manager",
            evidence=str(error),
            next_step="run this notebook again: it removes them first",
        ) from error
