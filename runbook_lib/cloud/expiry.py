"""
What this runbook has made in a region, with the time when each may be removed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from runbook_lib.cloud.instances import ALIVE
from runbook_lib.cloud.tags import (
    CLUSTER_TAG,
    EXPIRES_TAG,
    LOCK,
    ROLE_TAG,
    expires_in,
    expiry_of,
    tags_of,
)
from runbook_lib.core.changes import Changes
from runbook_lib.core.words import count_of

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

INSTANCE, VOLUME, GROUP, KEY_PAIR = "instance", "volume", "security group", "key pair"
_SOON = timedelta(minutes=5)


@dataclass(frozen=True)
class Resource:
    """
    One resource with our tag; `expires` is None where its tag is missing or no time.
    """

    kind: str
    name: str
    cluster: str
    expires: datetime | None


def find_resources(ec2: "EC2Client") -> list[Resource]:
    """
    Find everything in a region that carries the tag of a cluster, whichever it is.
    """

    def pages(operation: Any, path: str) -> list[Any]:  # noqa: ANN401 - a literal of hundreds
        return list(ec2.get_paginator(operation).paginate(Filters=tagged).search(path))

    tagged: Any = [{"Name": "tag-key", "Values": [CLUSTER_TAG]}]
    instances = pages("describe_instances", "Reservations[].Instances[]")
    alive = [one for one in instances if one["State"]["Name"] in ALIVE]
    found = [_resource(INSTANCE, "InstanceId", one) for one in alive]
    volumes = pages("describe_volumes", "Volumes[]")
    found += [_resource(VOLUME, "VolumeId", one) for one in volumes]
    groups = pages("describe_security_groups", "SecurityGroups[]")
    for one in groups:
        found.append(
            _resource(LOCK if tags_of(one).get(ROLE_TAG) == LOCK else GROUP, "GroupId", one)
        )
    pairs = ec2.describe_key_pairs(Filters=tagged)["KeyPairs"]
    return found + [_resource(KEY_PAIR, "KeyPairId", one) for one in pairs]


def ensure_expiry(ec2: "EC2Client", cluster: str, keep_h: float) -> Changes:
    """
    Let everything of a cluster end in `keep_h` hours, unless it ends later than in half of them:
    a page that is run again would otherwise change the tags each time.
    """
    changes, now = Changes(), datetime.now(UTC)
    whole = timedelta(hours=keep_h)

    def is_due(one: Resource) -> bool:
        if one.kind == LOCK:  # its holder moves its end
            return False
        return one.expires is None or not now + whole / 2 <= one.expires <= now + whole + _SOON

    due = [one.name for one in find_resources(ec2) if one.cluster == cluster and is_due(one)]
    if due:
        until = expires_in(keep_h)
        ec2.create_tags(Resources=due, Tags=[{"Key": EXPIRES_TAG, "Value": until}])
        changes.add("expiry", cluster, f"{count_of(len(due), 'resource')} kept until {until}")
    return changes


def end_of(resources: Iterable[Resource]) -> datetime | None:
    """
    Return when a cluster ends: with the last of its instances, or of the rest where it has none,
    whether or not somebody holds its lock; None if one of these does not say.
    """
    found = list(resources)
    unlocked = [one for one in found if one.kind != LOCK] or found
    telling = [one for one in unlocked if one.kind == INSTANCE] or unlocked
    times = [one.expires for one in telling]
    return None if None in times or not times else max(filter(None, times))


def _resource(kind: str, key: str, raw: Any) -> Resource:  # noqa: ANN401 - a description by EC2
    tags = tags_of(raw)
    return Resource(kind, raw[key], tags[CLUSTER_TAG], expiry_of(tags))
