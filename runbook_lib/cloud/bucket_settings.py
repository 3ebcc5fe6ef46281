"""
The bucket of the tiles: its name, its settings as wanted and as they are, and its policy.

Versioning stays off: a lost result can be computed again, and a rename on S3 is a copy and a
removal, so that S3 would keep every result three times.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook_lib.cloud.aws import or_none
from runbook_lib.cloud.tags import CLUSTER_TAG, ROLE_TAG

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts import STSClient

PREFIX = "runbook-tiles-"  # params/iam-policy.json gives rights on these names, and on no other
PUBLIC_ACCESS = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}


@dataclass(frozen=True)
class Bucket:
    """
    The bucket of a cluster's tiles, whether or not it exists.
    """

    name: str
    account: str
    region: str
    cluster: str

    @property
    def arn(self) -> str:
        return f"arn:aws:s3:::{self.name}"


def bucket_of(sts: "STSClient", cluster: str, region: str) -> Bucket:
    """
    The bucket of a cluster. Bucket names are unique in all of AWS, so that the name contains a hash
    of account and region.
    """
    account = sts.get_caller_identity()["Account"]
    readable = re.sub(r"[^a-z0-9]+", "-", cluster.lower()).strip("-")[:32]
    unique = hashlib.sha256(f"{cluster}|{account}|{region}".encode()).hexdigest()[:12]
    return Bucket(f"{PREFIX}{readable}-{unique}", account, region, cluster)


def access_policy(bucket: Bucket, role_arn: str) -> dict[str, Any]:
    """
    Let the role list the bucket, and read, write and remove its objects; refuse all without TLS.

    The lab has no TLS and not this condition, so that the last statement applies on AWS alone.
    """
    role, objects = {"AWS": role_arn}, f"{bucket.arn}/*"

    def statement(effect: str, who: Any, action: Any, resource: Any) -> dict[str, Any]:  # noqa: ANN401 - parts of a JSON document
        return {"Effect": effect, "Principal": who, "Action": action, "Resource": resource}

    readwrite = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    without_tls = {"Bool": {"aws:SecureTransport": "false"}}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "List"} | statement("Allow", role, "s3:ListBucket", bucket.arn),
            {"Sid": "ReadAndWrite"} | statement("Allow", role, readwrite, objects),
            {"Sid": "OnlyWithTls", "Condition": without_tls}
            | statement("Deny", "*", "s3:*", [bucket.arn, objects]),
        ],
    }


def same_policy(one: Any, other: Any) -> bool:  # noqa: ANN401 - two JSON documents
    """
    Whether two policies are the same: AWS returns lists in another order, and a list of one element
    as the element.
    """
    return bool(_sorted(one) == _sorted(other))


def wanted_settings(bucket: Bucket) -> dict[str, Any]:
    """
    The settings as they should be, by name.
    """
    return {
        "tags": {CLUSTER_TAG: bucket.cluster, ROLE_TAG: "tiles"},
        "public access": PUBLIC_ACCESS,
        "encryption": "AES256",
        "versioning": "off",
    }


def read_settings(s3: "S3Client", bucket: Bucket) -> dict[str, Any]:
    """
    The settings as they are, by the same names.
    """
    name = bucket.name
    tags = or_none(lambda: s3.get_bucket_tagging(Bucket=name)["TagSet"]) or []
    closed = or_none(lambda: s3.get_public_access_block(Bucket=name))
    encryption = or_none(lambda: s3.get_bucket_encryption(Bucket=name))
    rules = encryption["ServerSideEncryptionConfiguration"]["Rules"] if encryption else []
    by_default = [rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for rule in rules]
    return {
        "tags": {tag["Key"]: tag["Value"] for tag in tags},
        "public access": closed["PublicAccessBlockConfiguration"] if closed else {},
        "encryption": by_default[0] if by_default else "",
        "versioning": s3.get_bucket_versioning(Bucket=name).get("Status", "off"),
    }


def read_policy(s3: "S3Client", bucket: Bucket) -> Any:  # noqa: ANN401 - a JSON document
    """
    The bucket's policy; None where there is none.
    """
    policy = or_none(lambda: s3.get_bucket_policy(Bucket=bucket.name)["Policy"])
    return json.loads(policy) if policy else None


def _sorted(part: Any) -> Any:  # noqa: ANN401 - a part of a JSON document
    if isinstance(part, dict):
        return {name: _sorted(value) for name, value in part.items()}
    if not isinstance(part, list):
        return part
    elements = sorted((_sorted(one) for one in part), key=json.dumps)
    return elements[0] if len(elements) == 1 else elements
