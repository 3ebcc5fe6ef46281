"""
What was forgotten: every cluster of the account that is past its expiry, in every enabled region.

Nothing is remembered between runs: EC2 is asked for its regions, and each region for everything
with our tag. A region that refuses to answer is named, since what it holds is not known.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from runbook_lib.cloud import instance_role, tiles_bucket
from runbook_lib.cloud.aws import Place, or_none
from runbook_lib.cloud.expiry import Resource, end_of, find_resources
from runbook_lib.cloud.holding import held
from runbook_lib.cloud.key_pairs import find_key_pair
from runbook_lib.cloud.tags import CLUSTER_TAG, LOCK, expiry_of, tags_of
from runbook_lib.cloud.teardown import remove_groups, remove_instances
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, RunbookError
from runbook_lib.core.findings import first_line
from runbook_lib.core.parallel import for_each
from runbook_lib.core.words import count_of, printable

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_s3 import S3Client

BUCKET = "bucket"


@dataclass(frozen=True)
class Found:
    """
    What a cluster has in a region; `ends` is None where its tags do not say.
    """

    cluster: str
    region: str
    resources: tuple[Resource, ...]
    ends: datetime | None

    @property
    def is_past(self) -> bool:
        return self.ends is not None and self.ends < datetime.now(UTC)

    def __str__(self) -> str:
        kinds = [one.kind for one in self.resources]
        counts = ", ".join(count_of(kinds.count(kind), kind) for kind in dict.fromkeys(kinds))
        when = "no expiry, never swept"
        if self.ends is not None:
            when = (
                f"{'past since' if self.is_past else 'kept until'} {self.ends:%Y-%m-%d %H:%M} UTC"
            )
        return f"{self.region}  {printable(self.cluster)}  {when}: {counts}"


@dataclass(frozen=True)
class Inventory:
    """
    The clusters of an account, and the regions that did not answer, with the reason.
    """

    clusters: tuple[Found, ...]
    unknown: dict[str, str]

    @property
    def past(self) -> list[Found]:
        return [one for one in self.clusters if one.is_past]

    def __str__(self) -> str:
        lines = [str(one) for one in self.clusters] or ["nothing with the runbook's tags"]
        lines += [f"{region}  not known: {why}" for region, why in self.unknown.items()]
        return "\n".join(lines)


def find_clusters(place: Place) -> Inventory:
    """
    Find everything with our tag, in every region that is enabled for the account.
    """
    regions = [one["RegionName"] for one in place.client("ec2").describe_regions()["Regions"]]
    unknown: dict[str, str] = {}

    def look(region: str) -> list[Resource]:
        try:
            return find_resources(place.client("ec2", region))
        except (RunbookError, ClientError) as error:
            unknown[region] = first_line(error)
            return []

    found = for_each("Regions looked into", {name: name for name in regions}, look)
    for region, bucket in _buckets(place.client("s3"), place.region):
        found.setdefault(region, []).append(bucket)
    clusters = [
        _found(cluster, region, (one for one in found[region] if one.cluster == cluster))
        for region in sorted(found)
        for cluster in sorted({one.cluster for one in found[region]})
    ]
    return Inventory(tuple(clusters), dict(sorted(unknown.items())))


def remove_past(place: Place, found: Found) -> Changes:
    """
    Remove a cluster that is past its expiry: instances, groups, key pair, empty bucket, role.

    A private key on this machine stays, and so does a bucket with objects: 90 removes it on a
    person's decision.

    Raises ConflictError if the cluster is not past its expiry by now: it was renewed meanwhile; or
    if a run holds its lock, or takes it over.
    """
    here = replace(place, region=found.region)
    if all(one.kind == BUCKET for one in found.resources):
        return _remove_bucket(place, found)
    lost: list[str] = []

    def stop(reason: str) -> bool:
        lost.append(reason)
        return True

    ec2, changes = here.client("ec2"), Changes()
    with held(here, found.cluster, stop):
        _refuse_renewed(ec2, found)
        for remove in (
            partial(remove_instances, ec2, found.cluster),
            partial(remove_groups, ec2, found.cluster),
            partial(_remove_key_pair, ec2, found.cluster),
            partial(_remove_bucket, place, found),
        ):
            if lost:
                raise ConflictError(
                    f"expected to remove cluster {found.cluster!r} in {found.region}; {lost[0]}",
                    evidence=repr(changes),
                    next_step="look again with  runbook sweep",
                )
            changes.extend(remove())
    return changes


def _refuse_renewed(ec2: "EC2Client", found: Found) -> None:
    # but for the lock, which is our own by now
    now = [one for one in find_resources(ec2) if one.cluster == found.cluster and one.kind != LOCK]
    if now and not _found(found.cluster, found.region, now).is_past:
        raise ConflictError(
            f"expected cluster {found.cluster!r} in {found.region} to be past its expiry; it was "
            "renewed",
            next_step="nothing was removed; look again with  runbook sweep",
        )


def _remove_key_pair(ec2: "EC2Client", cluster: str) -> Changes:
    changes = Changes()
    if find_key_pair(ec2, cluster):
        ec2.delete_key_pair(KeyName=cluster)
        changes.add("key pair", cluster, "deleted")
    return changes


def _remove_bucket(place: Place, found: Found) -> Changes:
    s3 = place.client("s3", found.region)
    bucket = tiles_bucket.bucket_of(place.client("sts"), found.cluster, found.region)
    if tiles_bucket.content(s3, bucket).objects:
        return Changes()
    changes = tiles_bucket.remove_bucket(s3, bucket)
    changes.extend(instance_role.remove_role(place.client("iam"), bucket))
    return changes


def _found(cluster: str, region: str, resources: Iterable[Resource]) -> Found:
    its = tuple(resources)
    return Found(cluster, region, its, end_of(its))


def _buckets(s3: "S3Client", usual: str) -> list[tuple[str, Resource]]:
    # S3 lists the buckets of all regions; those of others may refuse to tell their tags
    found = []
    for one in s3.list_buckets(Prefix=tiles_bucket.PREFIX)["Buckets"]:
        name = one["Name"]
        try:
            tags = tags_of({"Tags": _tag_set(s3, name)})
        except (RunbookError, ClientError):
            continue
        if cluster := tags.get(CLUSTER_TAG):
            region = one.get("BucketRegion") or usual
            found.append((region, Resource(BUCKET, name, cluster, expiry_of(tags))))
    return found


def _tag_set(s3: "S3Client", name: str) -> Any:  # noqa: ANN401 - a list of AWS's tags
    return or_none(lambda: s3.get_bucket_tagging(Bucket=name)["TagSet"]) or []
