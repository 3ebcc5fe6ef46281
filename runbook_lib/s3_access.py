"""
An instance that may use the bucket: by its role, with rclone told where the bucket is.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fabric

from runbook_lib.bucket_settings import Bucket
from runbook_lib.changes import Changes
from runbook_lib.instance_role import ensure_held, ensure_role, find_role, remove_from
from runbook_lib.instances import Instance
from runbook_lib.s3_mount import ensure_rclone, remove_rclone, wait_for_access
from runbook_lib.s3_mount_files import Remote
from runbook_lib.tiles_bucket import ensure_access

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
    changes = ensure_role(door.iam, door.bucket.cluster)
    role_arn = find_role(door.iam, door.bucket.cluster)
    changes.extend(ensure_access(door.s3, door.bucket, role_arn))
    changes.extend(ensure_held(door.ec2, door.bucket.cluster, instance))
    changes.extend(ensure_rclone(connection, door.remote, instance.role))
    wait_for_access(connection, door.remote, instance.role)
    return changes


def remove_reach(door: Door, connection: fabric.Connection, instance: Instance) -> Changes:
    """
    Take from an instance what it reached the bucket by.
    """
    changes = remove_rclone(connection, instance.role)
    changes.extend(remove_from(door.ec2, instance))
    return changes
