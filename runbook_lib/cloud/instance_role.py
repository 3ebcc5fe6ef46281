"""
The role that gives an instance access to the bucket: created, assigned and removed.

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
from typing import TYPE_CHECKING, Any

from runbook_lib.cloud.aws import make_or_adopt, once_ready, or_none, remove_or_gone
from runbook_lib.cloud.instances import Instance
from runbook_lib.cloud.tags import tag_list
from runbook_lib.cloud.tiles_bucket import Bucket
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, NotFoundError
from runbook_lib.core.wait import Pending, wait_for

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

_TRUST = """{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
]}"""
_HELD = ["associating", "associated"]
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
