"""
The instances that have the role: given to one, and taken from it, by its profile.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook_lib.cloud.aws import once_ready
from runbook_lib.cloud.bucket_settings import Bucket
from runbook_lib.cloud.instance_role import Role, role_name
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
    That an instance has a profile: which one, by its name and by its id.
    """

    association_id: str
    name: str
    profile_id: str


def ensure_held(
    ec2: "EC2Client", role: Role, instance: Instance, timeout_s: float = 120
) -> Changes:
    """
    Give an instance the profile; one that was removed and made anew since is given anew.

    Raises
    ------
    ConflictError
        Where it has another one: an instance has room for one.
    """
    changes = Changes()
    held = _associations(ec2, instance, _HELD)
    if others := [one.name for one in held if one.name != role.name]:
        raise ConflictError(
            f"expected {instance.role} to have no role; it has {', '.join(others)}",
            next_step="take it away in the EC2 console, if nothing on the instance needs it",
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
        # EC2 hears of a new profile some seconds later; another one may still be on its way out
        {"InvalidParameterValue", "IncorrectState"},
        timeout_s,
    )
    changes.add("instance", instance.role, f"has the role {role.name}")
    return changes


def remove_from(ec2: "EC2Client", bucket: Bucket, instance: Instance) -> Changes:
    """
    Take the profile away; keys that were given out are worth nothing once the role is gone.
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
    return [role for role, found in held.items() if name in [one.name for one in found]]


def _associations(
    ec2: "EC2Client", instance: Instance, states: Iterable[str]
) -> list[_Association]:
    found = ec2.describe_iam_instance_profile_associations(
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
        for one in found["IamInstanceProfileAssociations"]
    ]


def _take(ec2: "EC2Client", held: list[_Association], instance: Instance) -> Changes:
    """
    Take profiles away, and wait until they are: meanwhile the instance still has the keys.
    """
    changes = Changes()
    for one in held:
        ec2.disassociate_iam_instance_profile(AssociationId=one.association_id)
        changes.add("instance", instance.role, "has no role any more")

    def probe() -> bool | Pending:
        left = _associations(ec2, instance, (*_HELD, "disassociating"))
        still = {one.association_id for one in left} & {one.association_id for one in held}
        return Pending("it is being taken away") if still else True

    if held:
        wait_for(f"{instance.role} has no role", probe, timeout_s=120, poll_s=2)
    return changes
