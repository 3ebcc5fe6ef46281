"""
The bucket's role on an instance: its profile assigned, found and removed, in EC2.
"""

from functools import partial
from typing import TYPE_CHECKING

from runbook_lib.cloud.aws import once_ready, remove_or_gone
from runbook_lib.cloud.instance_role import BucketRole
from runbook_lib.cloud.instances import Instance
from runbook_lib.cloud.tiles_bucket import Bucket
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError
from runbook_lib.core.wait import Pending, wait_for

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

_HELD = ["associating", "associated"]


def ensure_assigned(ec2: "EC2Client", role: BucketRole, instance: Instance) -> Changes:
    """
    Assign the profile to an instance; reassign it if it was recreated since.

    Raises ConflictError if the instance has another profile: it can have only one.
    """
    changes = Changes()
    held = _profiles(ec2, instance, _HELD)
    if others := [name for name, _ in held.values() if name != role.name]:
        raise ConflictError(
            f"expected {instance.role} to have no role; it has {', '.join(others)}",
            next_step="if nothing on the instance needs it, remove it in the EC2 console",
        )
    if [(role.name, role.profile_id)] == list(held.values()):
        return changes
    changes.extend(_take(ec2, list(held), instance))

    def assign() -> None:
        # asked again each time: the answer to an earlier attempt may have been lost
        now = _profiles(ec2, instance, _HELD)
        if [(role.name, role.profile_id)] != list(now.values()):
            ec2.associate_iam_instance_profile(
                IamInstanceProfile={"Name": role.name}, InstanceId=instance.instance_id
            )

    once_ready(
        f"{instance.role} has the role",
        assign,
        # EC2 sees a new profile after some seconds; an old one may still be disassociating
        {"InvalidParameterValue", "IncorrectState"},
        timeout_s=120,
    )
    changes.add("instance", instance.role, f"has the role {role.name}")
    return changes


def remove_assignment(ec2: "EC2Client", bucket: Bucket, instance: Instance) -> Changes:
    """
    Remove the profile from an instance; its issued keys become invalid once the role is removed.
    """
    held = _profiles(ec2, instance, _HELD).items()
    return _take(ec2, [one for one, (name, _) in held if name == bucket.name], instance)


def find_holders(ec2: "EC2Client", bucket: Bucket, instances: list[Instance]) -> list[str]:
    """
    Find the instances that have the profile: manager, worker-1, ...
    """
    held = {i.role: _profiles(ec2, i, _HELD).values() for i in instances}
    return [
        role for role, profiles in held.items() if bucket.name in [name for name, _ in profiles]
    ]


def _profiles(
    ec2: "EC2Client", instance: Instance, states: list[str]
) -> dict[str, tuple[str, str]]:
    """
    Return name and id of an instance's profiles, by association id.
    """
    response = ec2.describe_iam_instance_profile_associations(
        Filters=[
            {"Name": "instance-id", "Values": [instance.instance_id]},
            {"Name": "state", "Values": states},
        ]
    )
    associations = response["IamInstanceProfileAssociations"]
    held = {one["AssociationId"]: one["IamInstanceProfile"] for one in associations}
    return {
        one: (profile["Arn"].rpartition("/")[2], profile["Id"]) for one, profile in held.items()
    }


def _take(ec2: "EC2Client", held: list[str], instance: Instance) -> Changes:
    """
    Remove associations, and wait until they are gone: until then the instance has the keys.
    """
    changes = Changes()
    for one in held:
        remove_or_gone(
            partial(ec2.disassociate_iam_instance_profile, AssociationId=one),
            partial(_profiles, ec2, instance, _HELD),
        )
        changes.add("instance", instance.role, "no longer has the role")

    def probe() -> bool | Pending:
        still = _profiles(ec2, instance, [*_HELD, "disassociating"]).keys() & set(held)
        return Pending("EC2 is still disassociating it") if still else True

    if held:
        wait_for(f"{instance.role} has no role", probe, timeout_s=120, poll_s=2)
    return changes
