"""
The permissions that an IAM request needs, and those to give an instance a profile.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

from lab.iam.ec2_permissions import Context, Permission

EVERYTHING = "*"


def iam_permissions(action: str, form: Mapping[str, str], context: Context) -> list[Permission]:
    """
    The action on the profile or role that a request names; on everything if it names neither.
    """
    path = form.get("Path", "/")
    arns = []
    if "InstanceProfileName" in form:
        arns.append(_profile_arn(form["InstanceProfileName"], path))
    elif "RoleName" in form:  # a profile's role is no resource of these actions
        arns.append(_role_arn(form["RoleName"], path))
    return [Permission(f"iam:{action}", arn, context) for arn in arns or [EVERYTHING]]


def pass_role_permissions(profile_name: str) -> list[Permission]:
    """
    Giving an instance a profile passes its role to EC2, which needs a permission of its own.
    """
    context: Context = {"iam:PassedToService": "ec2.amazonaws.com"}
    profiles = [p for p in _backend().instance_profiles.values() if p.name == profile_name]
    return [Permission("iam:PassRole", role.arn, context) for one in profiles for role in one.roles]


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


def _profile_arn(name: str, path: str) -> str:
    for profile in _backend().instance_profiles.values():
        if profile.name == name:
            return str(profile.arn)
    return f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:instance-profile{path}{name}"


def _backend() -> Any:  # noqa: ANN401 (moto's IAMBackend)
    return iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
