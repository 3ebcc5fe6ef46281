"""
The policy of a bucket: which of its statements are about a caller.
"""

from __future__ import annotations

import json

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends

from lab.iam.policy import Statement, statements_of


def bucket_statements(caller_arn: str, resource: str) -> list[Statement]:
    """
    The statements of a bucket's policy about this caller; `resource` is an ARN in the bucket.
    """
    name = resource.removeprefix("arn:aws:s3:::").partition("/")[0]
    bucket = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.get(name)
    if bucket is None or bucket.policy is None:
        return []
    names = {"*", _principal(caller_arn)}
    return [s for s in statements_of(json.loads(bucket.policy)) if names & _principals(s)]


def _principal(caller_arn: str) -> str:
    """
    The name of a caller in policies: for a session (.../assumed-role/NAME/SESSION), its role.
    """
    kind, _, rest = caller_arn.rpartition(":")[2].partition("/")
    if kind != "assumed-role":
        return caller_arn
    roles = iam_backends[DEFAULT_ACCOUNT_ID]["aws"].roles.values()
    return next((role.arn for role in roles if role.name == rest.partition("/")[0]), caller_arn)


def _principals(statement: Statement) -> set[str]:
    principal = statement.get("Principal", {})
    names = principal.get("AWS", []) if isinstance(principal, dict) else principal
    return set(names if isinstance(names, list) else [names])
