"""
The instances that have the role: its profile assigned to them, and taken away again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook_lib.cloud.aws import once_ready
from runbook_lib.cloud.bucket_settings import Bucket
from runbook_lib.cloud.instance_role import BucketRole, role_name
from runbook_lib.cloud.instances import Instance
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError
from runbook_lib.core.wait import Pending, wait_for

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

_HELD = ("associating", "associated")


@dataclass(frozen=True)
class _Association:
    """
    The profile of an instance, by its name and its id.
    """

    association_id: str
    name: str
    profile_id: str


def ensure_assigned(
    ec2: "EC2Client", role: BucketRole, instance: Instance, timeout_s: float = 120
) -> Changes:
    """
    Assign the profile to an instance; again, if the profile was removed and made again since.

    Raises
    ------
    ConflictError
        Where the instance has another profile: it can have only one.
    """
    changes = Changes()
    held = _associations(ec2, instance, _HELD)
    if others := [one.name for one in held if one.name != role.name]:
        raise ConflictError(
            f"expected {instance.role} to have no role; it has {', '.join(others)}",
            next_step="if nothing on the instance needs it, remove it in the EC2 console",
        )
    if [role.profile_id] == [one.profile_id for one in held]:
        return changes
    changes.extend(_take(ec2, held, instance))
    profile: Any = {"Name": role.name}
    once_ready(
        f"{instance.role} has the role",
        lambda: ec2.associate_iam_instance_profile(
            IamInstanceProfile=profile, InstanceId=instance.instance_id
        ),
        # EC2 finds a new profile some seconds later; another one may still be disassociating
        {"InvalidParameterValue", "IncorrectState"},
        timeout_s,
    )
    changes.add("instance", instance.role, f"has the role {role.name}")
    return changes


def remove_assignment(ec2: "EC2Client", bucket: Bucket, instance: Instance) -> Changes:
    """
    Take the profile away; keys that it gave out are invalid once the role is removed.
    """
    name = role_name(bucket)
    held = [one for one in _associations(ec2, instance, _HELD) if one.name == name]
    return _take(ec2, held, instance)


def find_holders(ec2: "EC2Client", bucket: Bucket, instances: list[Instance]) -> list[str]:
    """
    Those of the instances that have the profile: manager, worker-1, ...
    """
    name = role_name(bucket)
    held = {i.role: _associations(ec2, i, _HELD) for i in instances}
    return [role for role, profiles in held.items() if name in [one.name for one in profiles]]


def _associations(
    ec2: "EC2Client", instance: Instance, states: Iterable[str]
) -> list[_Association]:
    response = ec2.describe_iam_instance_profile_associations(
        Filters=[
            {"Name": "instance-id", "Values": [instance.instance_id]},
            {"Name": "state", "Values": list(states)},
        ]
    )
    return [
        _Association(
            one["AssociationId"],
            one["IamInstanceProfile"]["Arn"].rpartition("/")[2],
            one["IamInstanceProfile"]["Id"],
        )
        for one in response["IamInstanceProfileAssociations"]
    ]


def _take(ec2: "EC2Client", held: list[_Association], instance: Instance) -> Changes:
    """
    Take profiles away, and wait until that is done: meanwhile the instance still has the keys.
    """
    changes = Changes()
    for one in held:
        ec2.disassociate_iam_instance_profile(AssociationId=one.association_id)
        changes.add("instance", instance.role, "no longer has the role")

    def probe() -> bool | Pending:
        left = _associations(ec2, instance, (*_HELD, "disassociating"))
        still = {one.association_id for one in left} & {one.association_id for one in held}
        return Pending("EC2 is still disassociating it") if still else True

    if held:
        wait_for(f"{instance.role} has no role", probe, timeout_s=120, poll_s=2)
    return changes
