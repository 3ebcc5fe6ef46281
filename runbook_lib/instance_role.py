"""
The role by which an instance reaches the bucket: its keys are short-lived, come from the metadata
service, and lie on no disk.

The role has no policy of its own: the bucket's says what it may. So the operator needs no right to
write policies for roles, which would be the right to everything.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-roles-for-amazon-ec2.html
"""

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from runbook_lib.changes import Changes
from runbook_lib.errors import ConflictError
from runbook_lib.instances import CLUSTER_TAG, ROLE_TAG, Instance
from runbook_lib.wait import Pending, wait_for

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

# params/iam-policy.json gives rights on these names. Not on a path: that of a role which is not
# there yet is unknown to IAM, and looking for it would be refused.
PREFIX = "runbook-tiles-"
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "ec2.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


def role_name(cluster: str) -> str:
    """
    The name of the role, and of its instance profile.
    """
    return f"{PREFIX}{cluster}"


def find_role(iam: Any, cluster: str) -> str:  # noqa: ANN401 - a boto3 client
    """
    The role's ARN; "" where there is none.
    """
    role = _or_none(lambda: iam.get_role(RoleName=role_name(cluster))["Role"])
    return str(role["Arn"]) if role else ""


def ensure_role(iam: Any, cluster: str) -> Changes:  # noqa: ANN401 - a boto3 client
    """
    Make the role that only instances can take, and the profile that gives it to one.
    """
    changes = Changes()
    name = role_name(cluster)
    tags = [{"Key": CLUSTER_TAG, "Value": cluster}, {"Key": ROLE_TAG, "Value": "tiles"}]
    if not find_role(iam, cluster):
        trust = json.dumps(_TRUST)
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, Tags=tags)
        changes.add("role", name, "made")
    profile = _profile(iam, name)
    if profile is None:
        iam.create_instance_profile(InstanceProfileName=name, Tags=tags)
        changes.add("instance profile", name, "made")
    if not (profile or {}).get("Roles"):
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        changes.add("instance profile", name, "given the role")
    return changes


def ensure_held(
    ec2: "EC2Client", cluster: str, instance: Instance, timeout_s: float = 120
) -> Changes:
    """
    Give an instance the profile.

    Raises
    ------
    ConflictError
        Where it has another one: an instance has room for one.
    """
    changes = Changes()
    name = role_name(cluster)
    held = _associations(ec2, instance.instance_id)
    if name in held.values():
        return changes
    if held:
        raise ConflictError(
            f"expected {instance.role} to have no role; it has {', '.join(held.values())}",
            next_step="take it away in the EC2 console, if nothing on the instance needs it",
        )

    def probe() -> bool | Pending:
        try:
            ec2.associate_iam_instance_profile(
                IamInstanceProfile={"Name": name}, InstanceId=instance.instance_id
            )
        except ClientError as error:  # EC2 hears of a new profile some seconds later
            if error.response["Error"]["Code"] != "InvalidParameterValue":
                raise
            return Pending("EC2 does not know the profile yet")
        return True

    wait_for(f"{instance.role} has the role", probe, timeout_s=timeout_s, poll_s=2)
    changes.add("instance", instance.role, f"has the role {name}")
    return changes


def remove_from(ec2: "EC2Client", cluster: str, instance: Instance) -> Changes:
    """
    Take the profile away; keys that were given out are worth nothing once the role is gone.
    """
    changes = Changes()
    for association, name in _associations(ec2, instance.instance_id).items():
        if name == role_name(cluster):
            ec2.disassociate_iam_instance_profile(AssociationId=association)
            changes.add("instance", instance.role, "has no role any more")
    return changes


def remove_role(iam: Any, cluster: str) -> Changes:  # noqa: ANN401 - a boto3 client
    """
    Remove profile and role.
    """
    changes = Changes()
    name = role_name(cluster)
    profile = _profile(iam, name)
    if profile is not None:
        for role in profile["Roles"]:
            iam.remove_role_from_instance_profile(
                InstanceProfileName=name, RoleName=role["RoleName"]
            )
        iam.delete_instance_profile(InstanceProfileName=name)
        changes.add("instance profile", name, "removed")
    if find_role(iam, cluster):
        iam.delete_role(RoleName=name)
        changes.add("role", name, "removed")
    return changes


def find_holders(ec2: "EC2Client", cluster: str, instances: list[Instance]) -> list[str]:
    """
    Those of the instances that have the profile: manager, worker-1, ...
    """
    name = role_name(cluster)
    return [i.role for i in instances if name in _associations(ec2, i.instance_id).values()]


def _profile(iam: Any, name: str) -> dict[str, Any] | None:  # noqa: ANN401 - a boto3 client
    ask = iam.get_instance_profile
    found = _or_none(lambda: ask(InstanceProfileName=name)["InstanceProfile"])
    return dict(found) if found else None


def _associations(ec2: "EC2Client", instance_id: str) -> dict[str, str]:
    """
    The profile that an instance has, if any: the association's id, and the profile's name.
    """
    found = ec2.describe_iam_instance_profile_associations(
        Filters=[
            {"Name": "instance-id", "Values": [instance_id]},
            {"Name": "state", "Values": ["associating", "associated"]},
        ]
    )
    return {
        one["AssociationId"]: one["IamInstanceProfile"]["Arn"].rpartition("/")[2]
        for one in found["IamInstanceProfileAssociations"]
    }


def _or_none(ask: Any) -> Any:  # noqa: ANN401 - IAM's answers
    try:
        return ask()
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchEntity":
            return None
        raise
