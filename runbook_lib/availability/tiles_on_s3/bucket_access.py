"""
An instance's access to the bucket: the role, and rclone with its settings.

Its containers have no access: instances are launched with a hop limit of 1, and a container is one
hop further from the metadata service, and so from the role's keys.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import docker
from docker.models.services import Service

from runbook_lib.availability.tiles_on_s3 import mount
from runbook_lib.cloud import instance_role, role_assignment
from runbook_lib.cloud.roles import MANAGER
from runbook_lib.cloud.tiles_bucket import Bucket, bucket_of
from runbook_lib.core.activity import ACTIVITY
from runbook_lib.core.changes import Changes
from runbook_lib.core.progress import Progress
from runbook_lib.hosts.clusters import Cluster

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_ASK = """
import urllib.request
ask = urllib.request.Request("http://169.254.169.254/latest/api/token", method="PUT")
ask.add_header("X-aws-ec2-metadata-token-ttl-seconds", "60")
try:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(ask, timeout=3):
        print("answered")
except OSError as error:
    print(error)
"""


@dataclass(frozen=True)
class BucketAccess:
    """
    A cluster and its bucket, with the clients of both; `endpoint` is S3's address for the
    instances.
    """

    cluster: Cluster
    bucket: Bucket
    s3: "S3Client"
    iam: Any
    endpoint: str = ""

    @property
    def remote(self) -> mount.Remote:
        """
        The bucket for rclone.
        """
        return mount.Remote(self.bucket.name, self.bucket.region, self.endpoint)

    def find_holders(self) -> list[str]:
        """
        Find the instances with the role: manager, worker-1, ...
        """
        instances = list(self.cluster.instances.values())
        return role_assignment.find_holders(self.cluster.ec2, self.bucket, instances)


def open_bucket(cluster: Cluster, endpoint: str = "") -> BucketAccess:
    """
    Return the bucket of a cluster, which may not exist yet.
    """
    bucket = bucket_of(cluster.client("sts"), cluster.name, cluster.place.region)
    return BucketAccess(cluster, bucket, cluster.client("s3"), cluster.client("iam"), endpoint)


def ensure_bucket_access(access: BucketAccess, role: str) -> Changes:
    """
    Give an instance access to the bucket, and wait until it works.
    """
    cluster, connection = access.cluster, access.cluster.connections[role]
    changes, iam_role = instance_role.ensure_role(access.iam, access.bucket)
    changes.extend(role_assignment.ensure_assigned(cluster.ec2, iam_role, cluster.instances[role]))
    changes.extend(mount.ensure_rclone(connection, role))
    changes.extend(mount.ensure_settings(connection, access.remote, role))
    mount.wait_for_access(connection, access.remote, role)
    return changes


@contextmanager
def temporary_access(access: BucketAccess, role: str) -> Iterator[None]:
    """
    Give an instance access to the bucket during the block; remove it even after an interrupt.

    Temporary access does not count as a change; rclone's package, which stays, does.
    """
    mount.ensure_rclone(access.cluster.connections[role], role)
    before = len(ACTIVITY.changes)
    try:
        ensure_bucket_access(access, role)
        yield
    finally:
        remove_bucket_access(access, role)
        del ACTIVITY.changes[before:]


def end_temporary_access(access: BucketAccess) -> Changes:
    """
    End leftover access from a killed run on all instances except the manager.
    """
    others = [role for role in access.cluster.instances if role != MANAGER]
    return Changes(change for role in others for change in remove_bucket_access(access, role))


def remove_bucket_access(access: BucketAccess, role: str) -> Changes:
    """
    Remove the role from an instance, and rclone's settings if the cluster is connected to it.
    """
    changes, cluster = Changes(), access.cluster
    if role in cluster.roles:
        changes.extend(mount.remove_settings(cluster.connections[role], role))
    instance = cluster.instances[role]
    changes.extend(role_assignment.remove_assignment(cluster.ec2, access.bucket, instance))
    return changes


def remove_bucket_role(access: BucketAccess) -> Changes:
    """
    Remove the role from every instance that still has it, and delete it.
    """
    changes, bucket = Changes(), access.bucket
    for instance in access.cluster.instances.values():
        changes.extend(role_assignment.remove_assignment(access.cluster.ec2, bucket, instance))
    changes.extend(instance_role.remove_role(access.iam, bucket))
    return changes


def ask_from_container(engine: docker.DockerClient, service: Service) -> str:
    """
    Request a token in a container of a service's image; return "answered", or the reason why not.
    """
    image = service.attrs["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
    with Progress("A container asks for the metadata"):
        output = engine.containers.run(image, ["-c", _ASK], entrypoint="python", remove=True)
    return bytes(output).decode().strip()
