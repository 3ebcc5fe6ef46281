"""
The tiles on the manager: counted, read, removed, and mounted as a volume.

Source: section "Solo en el manager/admin" of the guide. Tiles are
`<RAW or surface>/<date>/<z>/<y>/<x>.png`, 256 x 256 pixels, XYZ tiling.
"""

import base64
import io
import json
import shlex
import tarfile
from dataclasses import dataclass

import docker
import fabric
import pandas as pd
from docker.models.volumes import Volume

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, IntegrityError
from runbook_lib.core.words import printable
from runbook_lib.hosts.ssh import run

VOLUME = "tiles-data"
_LARGEST_KIB = 2048
"""Of a tile; what a service of the stack wrote may have any size."""

FIND = r"find . -type f -name '[!.]*' -regex '\./[A-Za-z0-9][A-Za-z0-9./_-]*\.png'"
"""
Lists tiles whose path is one plain word, and no links: any service of the stack can make others,
and a folder named "x " that has etc/y.png is two words.
"""

TILES_ON_DISK = """
import json, os, sys
root = sys.argv[1]

def folders(path):
    return sorted(f for f in os.listdir(path) if f[0] != ".") if os.path.isdir(path) else []

def tiles(layer, date):  # a link is no tile: the dealer does not follow it
    top = f"{root}/{layer}"
    files = (f"{d}/{f}" for d, _, names in os.walk(f"{top}/{date}") for f in names if f[0] != ".")
    for path in files:
        if path.endswith((".png", ".json")) and not os.path.islink(path):
            yield path[len(top) + 1 :].rpartition(".")[0]

def holds(tile):  # until the RAW file is newer; then the dealer deals it again
    try:
        raw = os.stat(f"{root}/RAW/{tile}.png").st_mtime_ns
        return os.stat(f"{root}/REJECTED/{tile}.json").st_mtime_ns >= raw
    except OSError:
        return False

rejected = [t for d in folders(f"{root}/REJECTED") for t in tiles("REJECTED", d) if holds(t)]
"""
"""The beginning of a program for the manager: the tiles in a folder, and those rejected."""

_COUNT = (
    TILES_ON_DISK
    + """
rows, unread = [], set(rejected)
for layer in folders(root):
    for date in folders(f"{root}/{layer}"):
        if os.path.isdir(f"{root}/{layer}/{date}"):
            found = set(tiles(layer, date))
            if layer != "RAW":  # of a rejected tile, only the rejection counts
                found = found & unread if layer == "REJECTED" else found - unread
            rows.append((layer, date, len(found)))
print(json.dumps(rows))
"""
)


@dataclass(frozen=True)
class DataSet:
    """
    A data set: the URL of its parts and its SHA256SUMS, and the folder of its tiles on the manager.

    Without a URL, the application has no tiles: nothing is downloaded or unpacked.
    """

    url: str
    directory: str

    @property
    def parts(self) -> str:
        return f"{self.directory}-parts"


def ensure_volume(manager: docker.DockerClient, data: DataSet) -> Changes:
    """
    Create the Docker volume `tiles-data`, bound to the folder of the tiles.

    Raises ConflictError if a volume of that name is bound to another folder.
    """
    changes = Changes()
    options = {"type": "none", "o": "bind", "device": data.directory}
    if (volume := find_volume(manager)) is None:
        manager.volumes.create(name=VOLUME, driver="local", driver_opts=options)
        changes.add("volume", VOLUME, f"bound to {data.directory}")
    elif volume.attrs.get("Options") != options:
        raise ConflictError(
            f"expected the volume {VOLUME} to be bound to {data.directory}; it is not",
            evidence=f"its options: {volume.attrs.get('Options')}",
            next_step="run 94_remove_tiles, then 04_tiles",
        )
    return changes


def find_volume(engine: docker.DockerClient) -> Volume | None:
    """
    Find the volume of the tiles by exact name; Docker's filter also matches longer names.
    """
    volumes = engine.volumes.list(filters={"name": VOLUME})
    return next((volume for volume in volumes if volume.name == VOLUME), None)


def bound_folder(engine: docker.DockerClient) -> str:
    """
    Return the folder that the volume of the tiles is bound to; "" if there is no volume.
    """
    volume = find_volume(engine)
    return str((volume.attrs.get("Options") or {}).get("device", "")) if volume else ""


def remove_tiles(
    connection: fabric.Connection | None, manager: docker.DockerClient | None, data: DataSet
) -> Changes:
    """
    Remove the volume, the tiles and the parts; None means that the instance or engine is gone.

    Raises ConflictError if the folder is a mount: the tiles are not on the manager's own disk.
    """
    changes = Changes()
    if connection is None:
        return changes
    directory = shlex.quote(data.directory)
    query = f"findmnt --noheadings --output SOURCE --mountpoint {directory} || true"
    if source := run(connection, query, sudo=True).strip():
        raise ConflictError(
            f"expected {data.directory} to be on the manager's disk; it is the mount of {source}",
            next_step="run 36_remove_tiles_on_s3, then 94_remove_tiles",
        )
    if manager and (volume := find_volume(manager)):
        volume.remove()
        changes.add("volume", VOLUME, "removed")
    folders = shlex.join([data.directory, data.parts, f"{data.directory}-unpacking"])
    script = f"for d in {folders}; do [ ! -e $d ] || echo $d; done; rm -rf {folders}"
    for folder in run(connection, script, sudo=True).split():
        changes.add("folder", folder, "removed")
    return changes


def count_tiles(manager: fabric.Connection | None, data: DataSet) -> pd.DataFrame:
    """
    Count the tiles on the manager's disk; columns: surface (RAW is the input), date, tiles.

    A rejection counts while it is about the current RAW file. Of a tile that is rejected, results
    of an earlier RAW file do not count: each readable tile has one result per surface.
    """
    script = f"python3 -c {shlex.quote(_COUNT)} {shlex.quote(data.directory)}"
    rows = json.loads(run(manager, script, sudo=True)) if manager else []
    return pd.DataFrame(rows, columns=["surface", "date", "tiles"])


def find_tiles(manager: fabric.Connection, data: DataSet, surface: str) -> list[str]:
    """
    Find the tiles of a surface, sorted, as `<date>/<z>/<y>/<x>.png`; none if it has no folder.
    """
    folder = shlex.quote(f"{data.directory}/{surface}")
    find = f"cd {folder} && {FIND} -printf '%P\\n' | sort"
    return run(manager, f"[ ! -e {folder} ] || {{ {find}; }}").split()


def read_tiles(manager: fabric.Connection, data: DataSet, paths: list[str]) -> dict[str, bytes]:
    """
    Read some tiles in one round trip; a path is for example `RAW/2004-01-15/3/2/5.png`.

    Raises IntegrityError if one is a link, or anything else than a file, or larger than a tile.
    """
    if not paths:
        return {}
    names = " ".join(shlex.quote(path) for path in paths)
    files = f"find {names} -maxdepth 0 -type f -size -{_LARGEST_KIB + 1}k -print0"
    pack = f"cd {shlex.quote(data.directory)} && {files} | tar --null -T - -cf - | base64 -w0"
    packed = run(manager, pack)
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(packed))) as tar:
        found = {m.name: m for m in tar.getmembers() if m.isreg() or m.islnk()}
        if odd := [path for path in paths if path not in found]:
            raise IntegrityError(
                f"expected files of at most {_LARGEST_KIB} KiB in {data.directory}; {len(odd)} of "
                f"{len(paths)} are none",
                evidence=printable(", ".join(odd[:5])),
                next_step="find out what made them, and remove them; 94 and 04 bring new ones",
            )
        return {name: f.read() for name, m in found.items() if (f := tar.extractfile(m))}


def data_uri(png: bytes) -> str:
    """
    Return a PNG as a data: URL, which a page shows without a request.
    """
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
