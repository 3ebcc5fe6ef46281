"""
The role that gives an instance access to the bucket, in IAM: created and removed.

Its keys are short-lived, come from the metadata service, and are never stored on a disk. Its rights
are those of one policy that an administrator has made, params/iam-role-of-the-tiles.json: the
bucket that the role's tag names, and only with the keys of an instance. So the operator writes
neither the policy of a role, which would amount to all rights, nor that of the bucket, which could
open it to everybody; and a role that trusted somebody else would give nothing.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/iam-roles-for-amazon-ec2.html

Role and instance profile have the bucket's name. IAM is global, so clusters of two regions could
have the same name. A path in place of a name would not work: IAM cannot match the path of a role
that does not exist yet, so params/iam-policy.json could not allow searching for it.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

from runbook_lib.cloud.aws import make_or_adopt, once_ready, or_none
from runbook_lib.cloud.tags import tag_list
from runbook_lib.cloud.tiles_bucket import Bucket
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import NotFoundError

_TRUST = """{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
]}"""
BUCKET_TAG = "runbook:bucket"
POLICY = "runbook-tiles"
"""The managed policy's name, which params/iam-policy-tiles-on-s3.json has too."""


@dataclass(frozen=True)
class BucketRole:
    """
    The role's current state in IAM; a profile that was removed and recreated has a new id.
    """

    name: str
    profile_id: str


def find_role(iam: Any, bucket: Bucket) -> str:  # noqa: ANN401 - a boto3 client
    """
    Find the role's ARN; "" if there is none.
    """
    role = or_none(lambda: iam.get_role(RoleName=bucket.name)["Role"])
    return str(role["Arn"]) if role else ""


def ensure_role(iam: Any, bucket: Bucket) -> tuple[Changes, BucketRole]:  # noqa: ANN401 - a boto3 client
    """
    Create the role, which only instances can assume, and its instance profile.

    Results come from the responses: IAM may not find new resources for some seconds.

    Raises NotFoundError if the administrator has not made the policy.
    """
    changes, name = Changes(), bucket.name
    tags = tag_list(bucket.cluster, "tiles", **{BUCKET_TAG: name})
    if not find_role(iam, bucket):
        create = partial(iam.create_role, RoleName=name, AssumeRolePolicyDocument=_TRUST)
        make_or_adopt(lambda: bool(create(Tags=tags)), lambda: bool(find_role(iam, bucket)) or None)
        changes.add("role", name, "made")
    changes.extend(_ensure_policy(iam, bucket))
    profile = _profile(iam, name)
    if profile is None:
        give = iam.create_instance_profile
        profile = make_or_adopt(
            lambda: dict(give(InstanceProfileName=name, Tags=tags)["InstanceProfile"]),
            lambda: _profile(iam, name),
        )
        changes.add("instance profile", name, "made")

    def add_role() -> None:
        # asked again each time: the answer to an earlier attempt may have been lost
        if not (_profile(iam, name) or profile)["Roles"]:
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)

    if not profile["Roles"]:
        once_ready(f"IAM gives {name} its role", add_role, {"NoSuchEntity", "LimitExceeded"})
        changes.add("instance profile", name, "given the role")
    return changes, BucketRole(name, str(profile["InstanceProfileId"]))


def remove_role(iam: Any, bucket: Bucket) -> Changes:  # noqa: ANN401 - a boto3 client
    """
    Remove profile and role.
    """
    changes, name = Changes(), bucket.name
    if profile := _profile(iam, name):
        by_name = {"InstanceProfileName": name}
        for role in profile["Roles"]:
            by_role = by_name | {"RoleName": role["RoleName"]}
            or_none(partial(iam.remove_role_from_instance_profile, **by_role))
        delete = partial(iam.delete_instance_profile, **by_name)
        once_ready(f"IAM removes the profile {name}", partial(or_none, delete), {"DeleteConflict"})
        changes.add("instance profile", name, "removed")
    if find_role(iam, bucket):
        for arn in _attached(iam, name):
            or_none(partial(iam.detach_role_policy, RoleName=name, PolicyArn=arn))
        gone = partial(iam.delete_role, RoleName=name)
        once_ready(f"IAM removes the role {name}", partial(or_none, gone), {"DeleteConflict"})
        changes.add("role", name, "removed")
    return changes


def _ensure_policy(iam: Any, bucket: Bucket) -> Changes:  # noqa: ANN401 - a boto3 client
    changes, name = Changes(), bucket.name
    arn = f"arn:aws:iam::{bucket.account}:policy/{POLICY}"
    if arn in _attached(iam, name):
        return changes

    def attach() -> None:
        try:
            iam.attach_role_policy(RoleName=name, PolicyArn=arn)
        except iam.exceptions.NoSuchEntityException as error:
            if arn not in str(error):  # then it is the role that IAM does not know yet
                raise
            raise NotFoundError(
                f"expected the policy {POLICY} in account {bucket.account}; it has none",
                evidence=str(error),
                next_step="an administrator of the account makes it, once:  aws iam create-policy "
                f"--policy-name {POLICY} --policy-document file://params/iam-role-of-the-tiles.json",
            ) from error

    once_ready(f"IAM gives {name} its policy", attach, {"NoSuchEntity"})
    changes.add("role", name, f"given the policy {POLICY}")
    return changes


def _attached(iam: Any, name: str) -> list[str]:  # noqa: ANN401 - a boto3 client
    attached = or_none(lambda: iam.list_attached_role_policies(RoleName=name)) or {}
    return [one["PolicyArn"] for one in attached.get("AttachedPolicies", [])]


def _profile(iam: Any, name: str) -> dict[str, Any] | None:  # noqa: ANN401 - a boto3 client
    get = iam.get_instance_profile
    return or_none(lambda: get(InstanceProfileName=name)["InstanceProfile"])
