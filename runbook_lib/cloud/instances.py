"""
A cluster's EC2 instances, found by tag, and their image.

Source: section "AWS - Console" of the guide.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from runbook_lib.cloud.roles import BACKUP, MANAGER, WEB, WORKER, order
from runbook_lib.cloud.tags import ROLE_TAG, find_tagged, tags_of
from runbook_lib.core.errors import NotFoundError, ParameterError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef
    from mypy_boto3_ssm import SSMClient

ALIVE = ("pending", "running", "stopping", "stopped")
"""States of an existing instance; all others mean that it is terminating or terminated."""


@dataclass(frozen=True)
class Wanted:
    """
    The wanted state of one instance.
    """

    role: str
    disk_gib: int


@dataclass(frozen=True)
class Instance:
    """
    One instance as EC2 describes it; `role` is its tag.
    """

    role: str
    instance_id: str
    state: str
    instance_type: str
    private_ip: str
    public_ip: str
    group_ids: tuple[str, ...]


def wanted_instances(
    worker_count: int, manager_disk_gib: int, disk_gib: int, *, backup: bool = False
) -> list[Wanted]:
    """
    Return the guide's six instances in the order of `find_instances`: a manager with the large
    disk, the workers, and admin-web; with `backup` also the optional seventh, like the manager.
    """
    managers = [Wanted(role, manager_disk_gib) for role in (MANAGER, BACKUP)[: 1 + backup]]
    workers = [Wanted(f"{WORKER}-{n}", disk_gib) for n in range(1, worker_count + 1)]
    return [*managers, *workers, Wanted(WEB, disk_gib)]


def has_backup(ec2: "EC2Client", cluster: str) -> bool:
    """
    Check whether the cluster has the optional seventh instance; every step then expects it.
    """
    return any(i.role == BACKUP for i in find_instances(ec2, cluster))


def find_instances(ec2: "EC2Client", cluster: str) -> list[Instance]:
    """
    Find all instances of the cluster that are not terminated, in the order of their roles.
    """
    return sorted(
        (_instance(i) for i in describe(ec2, cluster) if i["State"]["Name"] in ALIVE),
        key=lambda i: order(i.role),
    )


def get_instances(ec2: "EC2Client", cluster: str) -> dict[str, Instance]:
    """
    Return the running instances by role.

    Raises NotFoundError if the cluster has no instances, or one that is not running.
    """
    if running := find_running(ec2, cluster):
        return running
    raise NotFoundError(
        f"expected running instances of cluster {cluster!r}, found none",
        next_step="run 01_instances",
    )


def get_instance(ec2: "EC2Client", cluster: str, role: str) -> Instance:
    """
    Return the instance of a role, running or not.
    """
    for instance in find_instances(ec2, cluster):
        if instance.role == role:
            return instance
    raise NotFoundError(
        f"expected an instance {role!r} in cluster {cluster!r}, found none",
        next_step="run 01_instances, or choose another role",
    )


def find_running(ec2: "EC2Client", cluster: str) -> dict[str, Instance]:
    """
    Find the instances by role, possibly none; for an undo that must reach all of them.

    Raises NotFoundError if one is not running.
    """
    found = find_instances(ec2, cluster)
    if stopped := [f"{i.role} is {i.state}" for i in found if i.state != "running"]:
        raise NotFoundError(
            f"expected every instance of cluster {cluster!r} to run",
            evidence="\n".join(stopped),
            next_step="start it with 01_instances, or terminate all with 91_remove_instances",
        )
    return {i.role: i for i in found}


def get_image(ec2: "EC2Client", ssm: "SSMClient", ubuntu_release: str) -> tuple[str, str]:
    """
    Return id and root device of the newest Ubuntu image of a release, published by Canonical.

    Source: https://documentation.ubuntu.com/aws/aws-how-to/instances/find-ubuntu-images/
    """
    disk = "ebs-gp3" if ubuntu_release >= "24.04" else "ebs-gp2"
    name = (
        f"/aws/service/canonical/ubuntu/server/{ubuntu_release}/stable/current/amd64/hvm/"
        f"{disk}/ami-id"
    )
    try:
        image_id = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    except ssm.exceptions.ParameterNotFound as error:
        raise ParameterError(
            f"expected an Ubuntu release that Canonical publishes, saw {ubuntu_release!r}",
            evidence=f"SSM has no parameter {name}",
            next_step="set ubuntu_release to 24.04, 22.04 or 20.04",
        ) from error
    image = ec2.describe_images(ImageIds=[image_id])["Images"][0]
    return image_id, image["RootDeviceName"]


def describe(ec2: "EC2Client", cluster: str) -> "list[InstanceTypeDef]":
    """
    Return EC2's descriptions of the instances, including terminated ones that it still lists.
    """
    return find_tagged(ec2, cluster, "describe_instances", "Reservations[].Instances[]")


def table(instances: list[Instance]) -> pd.DataFrame:
    """
    One row per instance; columns: role, instance_id, state, instance_type, private_ip, public_ip.
    """
    columns = ["role", "instance_id", "state", "instance_type", "private_ip", "public_ip"]
    return pd.DataFrame([[getattr(i, c) for c in columns] for i in instances], columns=columns)


def _instance(raw: "InstanceTypeDef") -> Instance:
    return Instance(
        role=tags_of(raw).get(ROLE_TAG, "?"),
        instance_id=raw["InstanceId"],
        state=raw["State"]["Name"],
        instance_type=raw["InstanceType"],
        private_ip=raw.get("PrivateIpAddress", ""),
        public_ip=raw.get("PublicIpAddress", ""),
        group_ids=tuple(sorted(g["GroupId"] for g in raw.get("SecurityGroups", []))),
    )
