"""
The bucket's policy, which grants access to the role of its instances.
"""

import json
from typing import TYPE_CHECKING, Any

from runbook_lib.cloud.aws import once_ready, or_none
from runbook_lib.cloud.tiles_bucket import Bucket
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import NotFoundError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def ensure_access(s3: "S3Client", bucket: Bucket, role_arn: str) -> Changes:
    """
    Give one role read and write access in the bucket's policy, so that the role needs no policy.

    Raises NotFoundError if the role does not exist.
    """
    changes = Changes()
    if not role_arn:
        raise NotFoundError(
            f"expected a role to give access to {bucket.name}; there is none",
            next_step="run this notebook again: IAM may need a moment to find its own role",
        )
    wanted = access_policy(bucket, role_arn)
    if same_policy(read_policy(s3, bucket), wanted):
        return changes
    once_ready(
        "The bucket accepts the role",
        lambda: s3.put_bucket_policy(Bucket=bucket.name, Policy=json.dumps(wanted)),
        {"MalformedPolicy"},  # S3 sees a new role after some seconds
    )
    changes.add("bucket", bucket.name, f"opened to {role_arn.rpartition('/')[2]}")
    return changes


def access_policy(bucket: Bucket, role_arn: str) -> dict[str, Any]:
    """
    Allow the role to list the bucket, and read, write and remove objects; deny access without TLS.

    The lab has neither TLS nor this condition, so the last statement applies only on AWS.
    """
    readwrite = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    objects, names = f"{bucket.arn}/*", ("Sid", "Effect", "Principal", "Action", "Resource")
    rows: list[tuple[Any, ...]] = [
        ("List", "Allow", {"AWS": role_arn}, "s3:ListBucket", bucket.arn),
        ("ReadAndWrite", "Allow", {"AWS": role_arn}, readwrite, objects),
        ("OnlyWithTls", "Deny", "*", "s3:*", [bucket.arn, objects]),
    ]
    statements = [dict(zip(names, row, strict=True)) for row in rows]
    statements[-1]["Condition"] = {"Bool": {"aws:SecureTransport": "false"}}
    return {"Version": "2012-10-17", "Statement": statements}


def read_policy(s3: "S3Client", bucket: Bucket) -> Any:  # noqa: ANN401 - a JSON document
    """
    Read the bucket's policy; None if there is none.
    """
    policy = or_none(lambda: s3.get_bucket_policy(Bucket=bucket.name)["Policy"])
    return json.loads(policy) if policy else None


def same_policy(one: Any, other: Any) -> bool:  # noqa: ANN401 - two JSON documents
    """
    Compare two policies: AWS may return lists in another order, and a list of one element as the
    element itself.
    """
    return bool(_sorted(one) == _sorted(other))


def _sorted(part: Any) -> Any:  # noqa: ANN401 - a part of a JSON document
    if isinstance(part, dict):
        return {name: _sorted(value) for name, value in part.items()}
    if not isinstance(part, list):
        return part
    elements = sorted((_sorted(one) for one in part), key=json.dumps)
    return elements[0] if len(elements) == 1 else elements
