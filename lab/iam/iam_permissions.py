"""
The permissions that an IAM request needs, and those to give an instance a profile.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

from lab.iam.ec2_permissions import Context, Permission, request_tags

EVERYTHING = "*"
TAG_KEY = re.compile(r"Tags\.member\.\d+\.Key")
TAGGED_BY = {"CreateInstanceProfile": "TagInstanceProfile", "CreateRole": "TagRole"}
TO_EC2: Context = {"iam:PassedToService": "ec2.amazonaws.com"}


def iam_permissions(action: str, form: Mapping[str, str], context: Context) -> list[Permission]:
    """
    The action on the profile or role that a request names; on everything if it names neither.

    To tag what is made is an action of its own, and so is to put a role into a profile.
    """
    path, arn = form.get("Path", "/"), EVERYTHING
    if "InstanceProfileName" in form:
        arn = profile_arn(form["InstanceProfileName"], path)
    elif "RoleName" in form:  # a profile's role is no resource of these actions
        arn = _role_arn(form["RoleName"], path)
    tags = {form[key]: form.get(key[:-3] + "Value", "") for key in form if TAG_KEY.fullmatch(key)}
    told = context | request_tags(tags)
    if policy := form.get("PolicyArn"):
        told["iam:PolicyARN"] = policy
    needed = [Permission(f"iam:{action}", arn, told)]
    if tags and action in TAGGED_BY:
        needed.append(Permission(f"iam:{TAGGED_BY[action]}", arn, told))
    if action == "AddRoleToInstanceProfile":
        needed.append(Permission("iam:PassRole", _role_arn(form["RoleName"], path), TO_EC2))
    return needed


def pass_role_permissions(profile_name: str) -> list[Permission]:
    """
    Giving an instance a profile passes its role to EC2, which needs a permission of its own.
    """
    profiles = [p for p in _backend().instance_profiles.values() if p.name == profile_name]
    return [Permission("iam:PassRole", role.arn, TO_EC2) for one in profiles for role in one.roles]


def associated_instance(backend: Any, association_id: str) -> dict[str, str]:  # noqa: ANN401 (moto's EC2Backend)
    """
    The instance of an association, as the request parameter that names an instance.
    """
    for instance_id, association in backend.iam_instance_profile_associations.items():
        if association.association_id == association_id:
            return {"InstanceId": instance_id}
    return {}


def _role_arn(name: str, path: str) -> str:
    for role in _backend().roles.values():
        if role.name == name:
            return str(role.arn)
    return f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role{path}{name}"


def profile_arn(name: str, path: str = "/") -> str:
    """
    The ARN of a profile, whether or not it exists.
    """
    for profile in _backend().instance_profiles.values():
        if profile.name == name:
            return str(profile.arn)
    return f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:instance-profile{path}{name}"


def _backend() -> Any:  # noqa: ANN401 (moto's IAMBackend)
    return iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
