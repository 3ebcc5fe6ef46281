"""
Who asks: the condition keys and policy variables about the caller.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
"""

from __future__ import annotations

from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from lab.iam.ec2_permissions import Context


def principal_context(arn: str, access_key_id: str) -> Context:
    """
    Account, ARN, tags, and for the keys that a metadata service hands out, its instance.
    """
    kind, _, name = arn.rpartition(":")[2].partition("/")
    if kind == "user":
        tags = _backend().tagger.list_tags_for_resource(arn)["Tags"]
        context: Context = {"aws:PrincipalArn": arn, "aws:username": name}
    else:
        role = _role(name.partition("/")[0])
        tags = [] if role is None else role.tags or []
        context = {"aws:PrincipalArn": arn if role is None else str(role.arn)}
        if instance := _instance_arn(access_key_id):
            context["ec2:SourceInstanceARN"] = instance
    context |= {f"aws:PrincipalTag/{tag['Key']}": tag["Value"] for tag in tags}
    return context | {"aws:PrincipalAccount": DEFAULT_ACCOUNT_ID}


def _role(name: str) -> Any:  # noqa: ANN401 (moto's Role)
    return next((role for role in _backend().roles.values() if role.name == name), None)


def _instance_arn(access_key_id: str) -> str:
    sessions = sts_backends[DEFAULT_ACCOUNT_ID]["aws"].assumed_roles
    held = [one for one in sessions if one.access_key_id == access_key_id]
    return str(getattr(held[0], "source_instance_arn", "")) if held else ""


def _backend() -> Any:  # noqa: ANN401 (moto's IAMBackend)
    return iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
