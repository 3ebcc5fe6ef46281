"""
Enforce IAM: moto verifies signatures, `iam.policy` decides, anonymous S3 needs a public bucket.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.iam.access_control import IAMPolicy, IAMRequest, IAMRequestBase, PermissionResult
from moto.iam.exceptions import NotFoundException
from moto.s3.exceptions import S3AccessDeniedError
from moto.s3.models import FakeBucket, s3_backends
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request

from lab.aws.responses import error_response
from lab.iam.bucket_policy import bucket_statements
from lab.iam.ec2_permissions import Permission, ec2_permissions
from lab.iam.ec2_resources import completed, resource_context
from lab.iam.iam_permissions import (
    associated_instance,
    iam_permissions,
    pass_role_permissions,
    profile_arn,
)
from lab.iam.policy import Verdict, evaluate, statements_of
from lab.iam.principals import principal_context

log = logging.getLogger(__name__)

# S3 calls whose action has another name in policies.
S3_ACTIONS = {
    "s3:HeadObject": "s3:GetObject",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3:ListObjects": "s3:ListBucket",
}

# The query parameter of a bucket's setting: the action that reads it, and the one that changes it.
S3_SETTINGS = {
    "encryption": ("GetEncryptionConfiguration", "PutEncryptionConfiguration"),
    "publicAccessBlock": ("GetBucketPublicAccessBlock", "PutBucketPublicAccessBlock"),
}

moto_check = IAMRequestBase.check_action_permitted
moto_s3_check = ActionAuthenticatorMixin._authenticate_and_authorize_s3_action


class Unauthorized(HTTPException):
    """
    EC2's refusal; moto would answer AccessDenied, as the other services do.
    """

    code = 403

    def __init__(self, message: str) -> None:
        body = error_response("ec2", 403, "UnauthorizedOperation", message)
        super().__init__(body.get_data(as_text=True))


def check_action_permitted(self: IAMRequestBase, resource: str) -> None:
    """
    Replace moto's method: evaluate resources and conditions too.
    """
    if self._action == "sts:GetCallerIdentity":
        return
    if self._service == "sts":  # roles have trust policies, which moto evaluates
        moto_check(self, resource)
        return
    try:
        policies = self._access_key.collect_policies()
    except NotFoundException:  # the role of these keys was deleted
        self._raise_access_denied()
    statements = [
        statement
        for policy in policies
        for statement in statements_of(IAMPolicy(policy)._policy_json)
    ]
    if self._service == "s3":  # within one account, either policy may grant it
        statements += bucket_statements(self._access_key.arn, resource)
    caller = principal_context(self._access_key.arn, self._access_key._access_key_id)
    for needed in _needed_permissions(self, resource):
        verdict = evaluate(statements, needed.action, needed.resource, caller | needed.context)
        if verdict is not Verdict.ALLOWED:
            log.info(
                "%s: %s on %s: %s", self._access_key.arn, needed.action, needed.resource, verdict
            )
            if self._service != "ec2":
                self._raise_access_denied()
            raise Unauthorized(
                "You are not authorized to perform this operation. "
                f"User: {self._access_key.arn} is not authorized to perform: {needed.action} "
                f"on resource: {needed.resource} because {verdict.value} the {needed.action} action"
            )


def authorize_s3(
    self: ActionAuthenticatorMixin, bucket_name: str | None = None, key_name: str | None = None
) -> None:
    """
    Replace moto's method: without a signature, allow only what the bucket's policy gives to all.
    """
    headers: Mapping[str, str] = self.headers  # type: ignore[attr-defined] # of moto's responses
    data, query = self.data, self.querystring  # type: ignore[attr-defined] # of moto's responses
    for parameter, (read, change) in S3_SETTINGS.items():
        if parameter in query and not key_name:  # moto treats these as calls on the bucket
            data["Action"] = read if self.method == "GET" else change  # type: ignore[attr-defined] # of moto's responses
    if "Authorization" in headers:
        many = data.get("Action") == "DeleteObject" and not key_name  # one request, many objects
        moto_s3_check(self, bucket_name, "*" if many else key_name)
        return
    action = self._get_action()  # type: ignore[attr-defined] # of moto's responses
    if not is_public(f"s3:{action}", bucket_name or "", key_name or ""):
        raise S3AccessDeniedError


def bucket_permission(self: FakeBucket, action: str, resource: str) -> PermissionResult:
    """
    Replace moto's method: what the bucket's policy grants to everybody, with principals and
    conditions. moto ignores both, and checks some actions under names that no policy has.
    """
    name = S3_ACTIONS.get(action, action)
    verdict = evaluate(bucket_statements("anonymous", resource), name, resource, {})
    return {
        Verdict.ALLOWED: PermissionResult.PERMITTED,
        Verdict.DENIED: PermissionResult.DENIED,
        Verdict.NOT_ALLOWED: PermissionResult.NEUTRAL,
    }[verdict]


def is_public(action: str, bucket_name: str, key_name: str) -> bool:
    """
    Whether a bucket's policy allows an S3 action to everybody.
    """
    bucket = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.get(bucket_name)
    if bucket is None:
        return False
    resource = f"arn:aws:s3:::{bucket_name}" + (f"/{key_name}" if key_name else "")
    return bool(bucket.get_permission(action, resource) == PermissionResult.PERMITTED)


def authorize_static(request: Request, action: str, body: bytes) -> None:
    """
    Verify signature and permission of a request that is answered without moto.

    Raises werkzeug's HTTPException, as moto does.
    """
    iam_request = IAMRequest(
        account_id=DEFAULT_ACCOUNT_ID,
        method=request.method,
        path=request.path,
        data={},
        body=body,
        headers=request.headers,  # type: ignore[arg-type] # moto passes the same
        action=action.partition(":")[2],
    )
    iam_request.check_signature()
    iam_request.check_action_permitted("*")


def _needed_permissions(request: IAMRequestBase, resource: str) -> list[Permission]:
    action = request._action.partition(":")[2]
    if request._service == "ec2":
        backend = ec2_backends[request.account_id][request._region]
        form = completed(backend, action, _flat(request._data))
        arn = form.get("IamInstanceProfile.Arn", "")
        profile = form.get("IamInstanceProfile.Name", "") or arn.rpartition("/")[2]
        form |= associated_instance(backend, form.get("AssociationId", ""))
        if profile:
            form.setdefault("IamInstanceProfile.Arn", profile_arn(profile))
        needed = ec2_permissions(
            action,
            form,
            region=request._region,
            account=request.account_id,
            known=lambda kind, name: resource_context(backend, kind, name),
        )
        return needed + pass_role_permissions(profile)
    context: dict[str, Any] = {"aws:RequestedRegion": request._region}
    if request._service == "iam":
        return iam_permissions(action, _flat(request._data), context)
    if request._service == "ssm":
        names = _parameter_names(request._body)
        prefix = f"arn:aws:ssm:{request._region}"
        owners = {name: "" if name.startswith("aws/") else request.account_id for name in names}
        arns = [f"{prefix}:{owners[name]}:parameter/{name}" for name in names]
        return [Permission(request._action, arn, context) for arn in arns or ["*"]]
    if request._service == "s3":
        context["s3:ResourceAccount"] = request.account_id
        return [Permission(S3_ACTIONS.get(request._action, request._action), resource, context)]
    return [Permission(request._action, resource, context)]


def _flat(data: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(one[0] if isinstance(one, list) else one) for key, one in data.items()}


def _parameter_names(body: bytes | str) -> list[str]:
    values = json.loads(body or b"{}")
    names = [values.get("Name"), values.get("Path"), *values.get("Names", [])]
    return [name.lstrip("/") for name in names if name]
