"""
The role by which an instance reaches the bucket: its keys are short-lived, come from the metadata
service, and lie on no disk.

The role has no policy of its own: the bucket's says what it may. So the operator needs no right to
write policies for roles, which would be the right to everything.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-roles-for-amazon-ec2.html
"""

import json
from dataclasses import dataclass
from typing import Any

from runbook_lib.cloud.aws import once_ready, or_none
from runbook_lib.cloud.bucket_settings import Bucket
from runbook_lib.cloud.tags import CLUSTER_TAG, ROLE_TAG
from runbook_lib.core.changes import Changes

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


@dataclass(frozen=True)
class Role:
    """
    The role as IAM has it now: a profile that was made anew has the old name and another id.
    """

    name: str
    arn: str
    profile_id: str


def role_name(bucket: Bucket) -> str:
    """
    The name of the role, and of its instance profile: the bucket's.

    IAM knows no regions, so that the cluster's name alone would be shared by two clusters. On a
    path params/iam-policy.json could give no rights: that of a role which is not there yet is
    unknown to IAM, and looking for it would be refused.
    """
    return bucket.name


def find_role(iam: Any, bucket: Bucket) -> str:  # noqa: ANN401 - a boto3 client
    """
    The role's ARN; "" where there is none.
    """
    role = or_none(lambda: iam.get_role(RoleName=role_name(bucket))["Role"])
    return str(role["Arn"]) if role else ""


def ensure_role(iam: Any, bucket: Bucket) -> tuple[Changes, Role]:  # noqa: ANN401 - a boto3 client
    """
    Make the role that only instances can take, and the profile that gives it to one.

    What was made is known from the answer: whoever asks for it then may hear that there is none.
    """
    changes = Changes()
    name = role_name(bucket)
    tags = [{"Key": CLUSTER_TAG, "Value": bucket.cluster}, {"Key": ROLE_TAG, "Value": "tiles"}]
    arn = find_role(iam, bucket)
    if not arn:
        trust = json.dumps(_TRUST)
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, Tags=tags)
        arn = str(made["Role"]["Arn"])
        changes.add("role", name, "made")
    profile = _profile(iam, name)
    if profile is None:
        made = iam.create_instance_profile(InstanceProfileName=name, Tags=tags)
        profile = dict(made["InstanceProfile"])
        changes.add("instance profile", name, "made")
    if not profile["Roles"]:
        once_ready(
            f"IAM gives {name} its role",
            lambda: iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name),
            {"NoSuchEntity"},
        )
        changes.add("instance profile", name, "given the role")
    return changes, Role(name, arn, str(profile["InstanceProfileId"]))


def remove_role(iam: Any, bucket: Bucket) -> Changes:  # noqa: ANN401 - a boto3 client
    """
    Remove profile and role.
    """
    changes = Changes()
    name = role_name(bucket)
    profile = _profile(iam, name)
    if profile is not None:
        for role in profile["Roles"]:
            iam.remove_role_from_instance_profile(
                InstanceProfileName=name, RoleName=role["RoleName"]
            )
        once_ready(
            f"IAM removes the profile {name}",
            lambda: iam.delete_instance_profile(InstanceProfileName=name),
            {"DeleteConflict"},
        )
        changes.add("instance profile", name, "removed")
    if find_role(iam, bucket):
        once_ready(
            f"IAM removes the role {name}",
            lambda: iam.delete_role(RoleName=name),
            {"DeleteConflict"},
        )
        changes.add("role", name, "removed")
    return changes


def _profile(iam: Any, name: str) -> dict[str, Any] | None:  # noqa: ANN401 - a boto3 client
    ask = iam.get_instance_profile
    found = or_none(lambda: ask(InstanceProfileName=name)["InstanceProfile"])
    return dict(found) if found else None
