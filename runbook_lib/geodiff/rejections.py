"""
The tiles that the workers gave up, and why: they cannot be decoded, or end the worker that does.
"""

import json
import shlex

import fabric
import pandas as pd

from runbook_lib.geodiff.tiles import TILES_ON_DISK, DataSet
from runbook_lib.hosts.ssh import run

_READ = (
    TILES_ON_DISK
    + """
def record(tile):
    try:
        with open(f"{root}/REJECTED/{tile}.json", "rb") as file:
            found = json.loads(file.read(4096))
        return str(found["reason"])[:300]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return "its record cannot be read"

print(json.dumps([(tile, record(tile)) for tile in sorted(rejected)[: int(sys.argv[2])]]))
"""
)


def find_rejections(manager: fabric.Connection, data: DataSet, most: int = 200) -> pd.DataFrame:
    """
    Find the rejected tiles, the first `most` of them by name.

    Columns: tile, reason. A tile is not among them once its RAW file is newer than the rejection.
    Without a data set, no request is sent.
    """
    script = f"python3 -c {shlex.quote(_READ)} {shlex.quote(data.directory)} {most}"
    rows = json.loads(run(manager, script, sudo=True)) if data.url else []
    return pd.DataFrame(rows, columns=["tile", "reason"])
