"""
Access of an instance to the bucket: the role, and rclone with its settings.
"""

from collections.abc import Iterator, Mapping
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
from runbook_lib.core.activity import ACTIVITY
from runbook_lib.core.changes import Changes

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class BucketAccess:
    """
    The bucket and the clients that give access to it; `endpoint` is S3 as the instances reach it.
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


def ensure_bucket_access(
    access: BucketAccess, connection: fabric.Connection, instance: Instance
) -> Changes:
    """
    Give an instance access to the bucket, and wait until it works.
    """
    changes, role = ensure_role(access.iam, access.bucket)
    changes.extend(ensure_access(access.s3, access.bucket, role.arn))
    changes.extend(ensure_held(access.ec2, role, instance))
    changes.extend(ensure_rclone(connection, instance.role))
    changes.extend(ensure_settings(connection, access.remote, instance.role))
    wait_for_access(connection, access.remote, instance.role)
    return changes


@contextmanager
def temporary_access(
    access: BucketAccess, connection: fabric.Connection, instance: Instance
) -> Iterator[None]:
    """
    Give an instance access to the bucket for the duration of the block, even if interrupted.

    What is given and taken away again is no change. rclone's package stays, which is one.
    """
    ensure_rclone(connection, instance.role)
    before = len(ACTIVITY.changes)
    try:
        ensure_bucket_access(access, connection, instance)
        yield
    finally:
        remove_bucket_access(access, connection, instance)
        del ACTIVITY.changes[before:]


def end_temporary_access(
    access: BucketAccess, connections: Mapping[str, fabric.Connection], readers: list[Instance]
) -> Changes:
    """
    End the temporary access that a killed run left; settings go where there is a connection.
    """
    changes = Changes()
    for instance in readers:
        if instance.role in connections:
            changes.extend(remove_settings(connections[instance.role], instance.role))
        changes.extend(remove_from(access.ec2, access.bucket, instance))
    return changes


def remove_bucket_access(
    access: BucketAccess, connection: fabric.Connection, instance: Instance
) -> Changes:
    """
    Take rclone's settings and the role from an instance.
    """
    return end_temporary_access(access, {instance.role: connection}, [instance])


def remove_bucket_role(access: BucketAccess, instances: list[Instance]) -> Changes:
    """
    Take the role from every instance that still has it, and remove it.
    """
    changes = end_temporary_access(access, {}, instances)
    changes.extend(remove_role(access.iam, access.bucket))
    return changes
