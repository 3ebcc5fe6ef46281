"""
An instance that may use the bucket: by its role, with rclone told where the bucket is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fabric

from runbook_lib.availability.tiles_on_s3.mount import (
    ensure_rclone,
    ensure_settings,
    remove_settings,
    wait_for_access,
)
from runbook_lib.availability.tiles_on_s3.mount_files import Remote
from runbook_lib.cloud.bucket_settings import Bucket
from runbook_lib.cloud.instance_role import ensure_role, remove_role
from runbook_lib.cloud.instances import Instance
from runbook_lib.cloud.role_holders import ensure_held, remove_from
from runbook_lib.cloud.tiles_bucket import ensure_access
from runbook_lib.core.activity import LEDGER
from runbook_lib.core.changes import Changes

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Door:
    """
    The three services that open a bucket to instances, and the bucket as those reach it.
    """

    ec2: "EC2Client"
    iam: Any
    s3: "S3Client"
    bucket: Bucket
    endpoint: str = ""

    @property
    def remote(self) -> Remote:
        """
        The bucket for rclone.
        """
        return Remote(self.bucket.name, self.bucket.region, self.endpoint)


def ensure_reach(door: Door, connection: fabric.Connection, instance: Instance) -> Changes:
    """
    Let an instance reach the bucket, and wait until it does.
    """
    changes, role = ensure_role(door.iam, door.bucket)
    changes.extend(ensure_access(door.s3, door.bucket, role.arn))
    changes.extend(ensure_held(door.ec2, role, instance))
    changes.extend(ensure_rclone(connection, instance.role))
    changes.extend(ensure_settings(connection, door.remote, instance.role))
    wait_for_access(connection, door.remote, instance.role)
    return changes


@contextmanager
def visiting(door: Door, connection: fabric.Connection, instance: Instance) -> Iterator[None]:
    """
    Let an instance reach the bucket for as long as the block lasts, also if it is interrupted.

    What is given and taken away again is no change. rclone's package stays, which is one.
    """
    ensure_rclone(connection, instance.role)
    before = len(LEDGER.changes)
    try:
        ensure_reach(door, connection, instance)
        yield
    finally:
        remove_reach(door, connection, instance)
        del LEDGER.changes[before:]


def end_visits(
    door: Door, connections: dict[str, fabric.Connection], visitors: list[Instance]
) -> Changes:
    """
    Take from others what a visit gave them that was killed; the settings where we are connected.
    """
    changes = Changes()
    for instance in visitors:
        if instance.role in connections:
            changes.extend(remove_settings(connections[instance.role], instance.role))
        changes.extend(remove_from(door.ec2, door.bucket, instance))
    return changes


def remove_reach(door: Door, connection: fabric.Connection, instance: Instance) -> Changes:
    """
    Take from an instance what it reached the bucket by.
    """
    changes = remove_settings(connection, instance.role)
    changes.extend(remove_from(door.ec2, door.bucket, instance))
    return changes


def remove_way_in(door: Door, instances: list[Instance]) -> Changes:
    """
    Remove the role, and take it first from whoever still has it: a visit may have been killed.
    """
    changes = Changes()
    for instance in instances:
        changes.extend(remove_from(door.ec2, door.bucket, instance))
    changes.extend(remove_role(door.iam, door.bucket))
    return changes
