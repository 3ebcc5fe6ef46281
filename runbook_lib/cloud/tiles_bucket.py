"""
The bucket of a cluster's tiles: found by name, marked by a tag, closed to the public.

Versioning stays off: a lost result can be recomputed, and a rename on S3 is a copy and a removal,
so S3 would keep every result three times.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pandas as pd
from botocore.exceptions import ClientError

from runbook_lib.cloud.aws import make_or_adopt, or_none
from runbook_lib.cloud.tags import CLUSTER_TAG, EXPIRES_TAG, ROLE_TAG, tag_list
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import AccessError, ConflictError
from runbook_lib.core.progress import Progress

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts import STSClient

PREFIX = "runbook-tiles-"  # params/iam-policy.json gives permissions on these names only
_KINDS = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"]
_CLOSED: Any = dict.fromkeys(_KINDS, True)


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


@dataclass(frozen=True)
class Content:
    """
    The size of a bucket's content; a folder is a common key prefix, and costs one listing.
    """

    objects: int
    folders: int
    mib: float


def bucket_of(sts: "STSClient", cluster: str, region: str) -> Bucket:
    """
    Return the bucket of a cluster. Bucket names are unique across AWS, so the name contains a hash
    of account and region.
    """
    account = sts.get_caller_identity()["Account"]
    readable = re.sub(r"[^a-z0-9]+", "-", cluster.lower()).strip("-")[:32]
    unique = hashlib.sha256(f"{cluster}|{account}|{region}".encode()).hexdigest()[:12]
    return Bucket(f"{PREFIX}{readable}-{unique}", account, region, cluster)


def exists(s3: "S3Client", bucket: Bucket) -> bool:
    """
    Check whether the bucket exists.

    Raises ConflictError if the name belongs to another account.
    """
    try:
        s3.head_bucket(Bucket=bucket.name, ExpectedBucketOwner=bucket.account)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchBucket", "NotFound"):
            return False
        raise ConflictError(
            f"expected {bucket.name} to belong to account {bucket.account}, or not to exist",
            evidence=str(error),
            next_step="compare your rights with params/iam-policy.json, or choose another cluster",
        ) from error
    return True


def ensure_bucket(s3: "S3Client", bucket: Bucket) -> Changes:
    """
    Create the bucket: tagged, encrypted, and closed to the public regardless of any policy.
    """
    changes, name = Changes(), bucket.name
    if not exists(s3, bucket):
        elsewhere: Any = {"CreateBucketConfiguration": {"LocationConstraint": bucket.region}}
        more = {} if bucket.region == "us-east-1" else elsewhere
        make_or_adopt(
            lambda: bool(s3.create_bucket(Bucket=name, **more)),
            lambda: exists(s3, bucket) or None,
        )
        changes.add("bucket", name, "made")
    now, wanted = _settings(s3, bucket), _wanted(bucket)
    if now["tags"] != wanted["tags"]:
        _refuse_strangers(s3, bucket, now["tags"])
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tag_list(bucket.cluster, "tiles")})
        changes.add("bucket", name, "tagged")
    if now["public access"] != wanted["public access"]:
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=_CLOSED)
        changes.add("bucket", name, "public access blocked")
    if now["encryption"] != wanted["encryption"]:
        rule: Any = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": [rule]})
        changes.add("bucket", name, "encrypted by default")
    return changes


def settings_table(s3: "S3Client", bucket: Bucket) -> pd.DataFrame:
    """
    Return the wanted and actual settings; columns: setting, wanted, actual, equal.
    """
    now, wanted = _settings(s3, bucket), _wanted(bucket)
    rows = [(k, _words(wanted[k]), _words(now[k]), now[k] == wanted[k]) for k in wanted]
    return pd.DataFrame(rows, columns=["setting", "wanted", "actual", "equal"])


def content(s3: "S3Client", bucket: Bucket) -> Content:
    """
    Return the size of the bucket's content; zero if there is no bucket.
    """
    objects = [one for page in _pages(s3, bucket) for one in page] if exists(s3, bucket) else []
    folders = {str(above) for one in objects for above in PurePosixPath(one["Key"]).parents}
    mib = round(sum(one["Size"] for one in objects) / 2**20, 1)
    return Content(len(objects), len(folders), mib)


def remove_bucket(s3: "S3Client", bucket: Bucket) -> Changes:
    """
    Delete the bucket with all its objects; the caller has checked that this is safe.
    """
    changes, count = Changes(), 0
    if not exists(s3, bucket):
        return changes
    _refuse_strangers(s3, bucket, _settings(s3, bucket)["tags"])
    with Progress(f"{bucket.name} emptied"):
        for page in filter(None, _pages(s3, bucket)):
            objects: Any = {"Objects": [{"Key": one["Key"]} for one in page]}
            response = s3.delete_objects(Bucket=bucket.name, Delete=objects)
            if errors := response.get("Errors"):  # although the status is 200
                raise AccessError(
                    f"expected S3 to remove all objects of {bucket.name}; it refused {len(errors)}",
                    evidence="\n".join(f"{e['Key']}: {e.get('Message', '')}" for e in errors[:5]),
                    next_step="compare your rights with params/iam-policy.json",
                )
            count += len(response.get("Deleted", []))
    or_none(lambda: s3.delete_bucket(Bucket=bucket.name))
    changes.add("bucket", bucket.name, f"deleted, with {count} objects")
    return changes


def _wanted(bucket: Bucket) -> dict[str, Any]:
    return {
        "tags": {CLUSTER_TAG: bucket.cluster, ROLE_TAG: "tiles"},
        "public access": _CLOSED,
        "encryption": "AES256",
        "versioning": "off",
    }


def _settings(s3: "S3Client", bucket: Bucket) -> dict[str, Any]:
    """
    Return the actual settings, by the names of `_wanted`.
    """
    name = bucket.name
    tags = or_none(lambda: s3.get_bucket_tagging(Bucket=name)["TagSet"]) or []
    closed = or_none(lambda: s3.get_public_access_block(Bucket=name))
    encryption = or_none(lambda: s3.get_bucket_encryption(Bucket=name))
    rules = encryption["ServerSideEncryptionConfiguration"]["Rules"] if encryption else []
    by_default = [rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for rule in rules]
    return {
        "tags": {tag["Key"]: tag["Value"] for tag in tags if tag["Key"] != EXPIRES_TAG},
        "public access": closed["PublicAccessBlockConfiguration"] if closed else {},
        "encryption": by_default[0] if by_default else "",
        "versioning": s3.get_bucket_versioning(Bucket=name).get("Status", "off"),
    }


def _words(setting: Any) -> str:  # noqa: ANN401 - a string, or several by name
    if not isinstance(setting, dict):
        return str(setting)
    if setting == _CLOSED:
        return "all four kinds blocked"
    return ", ".join(f"{name}={value}" for name, value in sorted(setting.items()))


def _pages(s3: "S3Client", bucket: Bucket) -> Iterator[list[Any]]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket.name):
        yield list(page.get("Contents", []))


def _refuse_strangers(s3: "S3Client", bucket: Bucket, tags: dict[str, str]) -> None:
    if tags.get(CLUSTER_TAG) == bucket.cluster:
        return
    if tags or s3.list_objects_v2(Bucket=bucket.name, MaxKeys=1)["KeyCount"]:
        raise ConflictError(
            f"expected {bucket.name} to carry {CLUSTER_TAG}={bucket.cluster}; it does not",
            evidence=f"its tags: {tags}",
            next_step="check it in the S3 console: this runbook did not make it",
        )
