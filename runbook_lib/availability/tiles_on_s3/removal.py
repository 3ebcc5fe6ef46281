"""
The end of the tiles on S3: nothing in the bucket is deleted that the disk does not have.
"""

from runbook_lib.availability.tiles_on_s3.access import Door, ensure_reach
from runbook_lib.availability.tiles_on_s3.copying import check_equal
from runbook_lib.availability.tiles_on_s3.relocation import Move, find_state
from runbook_lib.cloud.instances import Instance
from runbook_lib.cloud.tiles_bucket import content, exists, remove_bucket
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError


def ensure_bucket_gone(door: Door, move: Move, manager: Instance, *, keep: bool) -> Changes:
    """
    Delete the bucket once every object in it was compared with the file on the disk.

    Raises
    ------
    ConflictError
        Where the tiles are still on S3.
    IntegrityError
        Where the disk lacks one, or has another; nothing is deleted then.
    """
    changes = Changes()
    if keep or not exists(door.s3, door.bucket):
        return changes
    if find_state(move).mounted:
        raise ConflictError(
            f"expected {move.data.directory} to be on the disk; it is the bucket",
            next_step="run 36_remove_tiles_on_s3 from its beginning",
        )
    if content(door.s3, door.bucket).objects:
        changes.extend(ensure_reach(door, move.connection, manager))
        check_equal(move.connection, move.remote.path, move.data.directory)
    changes.extend(remove_bucket(door.s3, door.bucket))
    return changes
