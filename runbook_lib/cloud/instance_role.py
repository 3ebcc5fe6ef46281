"""
The role by which an instance accesses the bucket: its keys are short-lived, come from the metadata
service, and are never stored on a disk.

The role has no policy of its own: the bucket's policy says what the role may do. So the operator
needs no right to write policies for roles, which would be the right to everything.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-roles-for-amazon-ec2.html
"""

from dataclasses import dataclass
from typing import Any

from runbook_lib.cloud.aws import once_ready, or_none
from runbook_lib.cloud.bucket_settings import Bucket
from runbook_lib.cloud.tags import CLUSTER_TAG, ROLE_TAG
from runbook_lib.core.changes import Changes

_TRUST = """{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Principal": {"Service": "ec2.amazonaws.com"},
      "Action": "sts:AssumeRole"
    }
  ]
}"""


@dataclass(frozen=True)
class BucketRole:
    """
    The role as IAM has it now; a profile that was removed and made again has another id.
    """

    name: str
    arn: str
    profile_id: str


def role_name(bucket: Bucket) -> str:
    """
    The name of the role, and of its instance profile: the bucket's.

    IAM knows no regions, so two clusters could share the cluster's name alone. And a path instead
    of a name would not do: IAM does not know the path of a role that does not exist yet, so that
    params/iam-policy.json could not allow to search for it.
    """
    return bucket.name


def find_role(iam: Any, bucket: Bucket) -> str:  # noqa: ANN401 - a boto3 client
    """
    The role's ARN; "" where there is none.
    """
    role = or_none(lambda: iam.get_role(RoleName=role_name(bucket))["Role"])
    return str(role["Arn"]) if role else ""


def ensure_role(iam: Any, bucket: Bucket) -> tuple[Changes, BucketRole]:  # noqa: ANN401 - a boto3 client
    """
    Make the role that only instances can assume, and the profile that assigns it to one.

    The responses say what was made: IAM may not find it for some seconds.
    """
    changes = Changes()
    name = role_name(bucket)
    tags = [{"Key": CLUSTER_TAG, "Value": bucket.cluster}, {"Key": ROLE_TAG, "Value": "tiles"}]
    arn = find_role(iam, bucket)
    if not arn:
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_TRUST, Tags=tags)
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
    return changes, BucketRole(name, arn, str(profile["InstanceProfileId"]))


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
    get = iam.get_instance_profile
    profile = or_none(lambda: get(InstanceProfileName=name)["InstanceProfile"])
    return dict(profile) if profile else None
