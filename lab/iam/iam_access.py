"""
What an IAM request asks to do, and on which role or profile; and what EC2 asks IAM when an instance
is given a profile.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

from lab.iam.access import Ask, Context

EVERYTHING = "*"


def iam_asks(action: str, form: Mapping[str, str], context: Context) -> list[Ask]:
    """
    The action on the role and on the profile that a request names; on everything where on neither.
    """
    path = form.get("Path", "/")
    asks = []
    if "InstanceProfileName" in form:
        asks.append(_profile_arn(form["InstanceProfileName"], path))
    elif "RoleName" in form:  # a profile's role is no resource of these actions
        asks.append(_role_arn(form["RoleName"], path))
    return [Ask(f"iam:{action}", arn, context) for arn in asks or [EVERYTHING]]


def pass_role_asks(profile_name: str) -> list[Ask]:
    """
    Whoever gives an instance a profile passes on its role, and needs the right to.
    """
    context: Context = {"iam:PassedToService": "ec2.amazonaws.com"}
    found = [p for p in _backend().instance_profiles.values() if p.name == profile_name]
    return [Ask("iam:PassRole", role.arn, context) for one in found for role in one.roles]


def associated_instance(backend: Any, association_id: str) -> dict[str, str]:  # noqa: ANN401 (moto's EC2Backend)
    """
    The instance that an association is of, as the parameter that would name it.
    """
    for instance_id, found in backend.iam_instance_profile_associations.items():
        if found.association_id == association_id:
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
