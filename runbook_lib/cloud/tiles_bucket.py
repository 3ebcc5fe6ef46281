"""
The bucket of a cluster's tiles: found by its name, marked by its tag, closed to everybody else.
"""

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pandas as pd
from botocore.exceptions import ClientError

from runbook_lib.cloud.aws import once_ready
from runbook_lib.cloud.bucket_settings import (
    PUBLIC_ACCESS,
    Bucket,
    access_policy,
    read_policy,
    read_settings,
    same_policy,
    wanted_settings,
)
from runbook_lib.cloud.tags import CLUSTER_TAG
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import AccessError, ConflictError, NotFoundError
from runbook_lib.core.progress import Progress

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Content:
    """
    How much a bucket holds; a folder is a common prefix of its keys, and costs one listing.
    """

    objects: int
    folders: int
    mib: float


def exists(s3: "S3Client", bucket: Bucket) -> bool:
    """
    Whether the bucket exists.

    Raises
    ------
    ConflictError
        Where the name belongs to another account.
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
    Make the bucket: tagged, encrypted, and closed to the public whatever a policy says.
    """
    changes = Changes()
    if not exists(s3, bucket):
        elsewhere: Any = {"CreateBucketConfiguration": {"LocationConstraint": bucket.region}}
        s3.create_bucket(Bucket=bucket.name, **({} if bucket.region == "us-east-1" else elsewhere))
        changes.add("bucket", bucket.name, "made")
    now, wanted = read_settings(s3, bucket), wanted_settings(bucket)
    if now["tags"] != wanted["tags"]:
        _refuse_strangers(s3, bucket, now["tags"])
        tags: Any = [{"Key": key, "Value": value} for key, value in wanted["tags"].items()]
        s3.put_bucket_tagging(Bucket=bucket.name, Tagging={"TagSet": tags})
        changes.add("bucket", bucket.name, "tagged")
    if now["public access"] != wanted["public access"]:
        closed: Any = PUBLIC_ACCESS
        s3.put_public_access_block(Bucket=bucket.name, PublicAccessBlockConfiguration=closed)
        changes.add("bucket", bucket.name, "public access blocked")
    if now["encryption"] != wanted["encryption"]:
        rule: Any = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        s3.put_bucket_encryption(
            Bucket=bucket.name, ServerSideEncryptionConfiguration={"Rules": [rule]}
        )
        changes.add("bucket", bucket.name, "encrypted by default")
    return changes


def settings_table(s3: "S3Client", bucket: Bucket) -> pd.DataFrame:
    """
    The settings as they should be and as they are; columns: setting, wanted, actual, equal.
    """
    now, wanted = read_settings(s3, bucket), wanted_settings(bucket)
    rows = [(k, _words(wanted[k]), _words(now[k]), now[k] == wanted[k]) for k in wanted]
    return pd.DataFrame(rows, columns=["setting", "wanted", "actual", "equal"])


def ensure_access(s3: "S3Client", bucket: Bucket, role_arn: str, timeout_s: float = 60) -> Changes:
    """
    Let one role read and write, by the bucket's policy, so that the role needs none.

    Raises
    ------
    NotFoundError
        Where there is no role.
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
        {"MalformedPolicy"},  # S3 finds a new role some seconds later
        timeout_s,
    )
    changes.add("bucket", bucket.name, f"opened to {role_arn.rpartition('/')[2]}")
    return changes


def content(s3: "S3Client", bucket: Bucket) -> Content:
    """
    How much the bucket holds; nothing where there is no bucket.
    """
    if not exists(s3, bucket):
        return Content(0, 0, 0.0)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket.name)
    objects = [one for page in pages for one in page.get("Contents", [])]
    folders = {str(above) for one in objects for above in PurePosixPath(one["Key"]).parents}
    mib = round(sum(one["Size"] for one in objects) / 2**20, 1)
    return Content(len(objects), len(folders), mib)


def remove_bucket(s3: "S3Client", bucket: Bucket) -> Changes:
    """
    Delete the bucket with all its objects; the caller has checked that they may go.
    """
    changes = Changes()
    if not exists(s3, bucket):
        return changes
    _refuse_strangers(s3, bucket, read_settings(s3, bucket)["tags"])
    count = 0
    with Progress(f"{bucket.name} emptied"):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket.name):
            if keys := [{"Key": one["Key"]} for one in page.get("Contents", [])]:
                objects: Any = {"Objects": keys}
                response = s3.delete_objects(Bucket=bucket.name, Delete=objects)
                _refuse_rest(bucket, response.get("Errors", []))
                count += len(response.get("Deleted", []))
    s3.delete_bucket(Bucket=bucket.name)
    changes.add("bucket", bucket.name, f"deleted, with {count} objects")
    return changes


def _words(setting: Any) -> str:  # noqa: ANN401 - a text, or several by name
    if not isinstance(setting, dict):
        return str(setting)
    if all(setting.values()) and setting.keys() == PUBLIC_ACCESS.keys():
        return "all four kinds blocked"
    return ", ".join(f"{name}={value}" for name, value in sorted(setting.items()))


def _refuse_rest(bucket: Bucket, errors: Any) -> None:  # noqa: ANN401 - S3's records
    """
    Raise what S3 refused: its response to a removal of many is 200 even then.
    """
    if errors:
        raise AccessError(
            f"expected S3 to remove all objects of {bucket.name}; it refused {len(errors)}",
            evidence="\n".join(f"{e['Key']}: {e.get('Message', '')}" for e in errors[:5]),
            next_step="compare your rights with params/iam-policy.json",
        )


def _refuse_strangers(s3: "S3Client", bucket: Bucket, tags: dict[str, str]) -> None:
    if tags.get(CLUSTER_TAG) == bucket.cluster:
        return
    if tags or s3.list_objects_v2(Bucket=bucket.name, MaxKeys=1)["KeyCount"]:
        raise ConflictError(
            f"expected {bucket.name} to carry {CLUSTER_TAG}={bucket.cluster}; it does not",
            evidence=f"its tags: {tags}",
            next_step="check it in the S3 console: this runbook did not make it",
        )
