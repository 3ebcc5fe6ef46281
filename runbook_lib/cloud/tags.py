"""
The tags that identify a cluster's resources in AWS.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import jmespath

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

CLUSTER_TAG = "runbook:cluster"
ROLE_TAG = "runbook:role"
EXPIRES_TAG = "runbook:expires"
"""When `runbook sweep` may remove a resource, for example 2026-03-01T12:00:00Z."""
LOCK = "lock"
"""The role of the group that is the lock on a cluster."""
KEEP_H = 72
"""The hours until then, before 01 sets those of its parameter keep_h."""
BY_CLUSTER = f"tag:{CLUSTER_TAG}"
"""The name of a filter; only `find_tagged` asks by it."""
_TIME = "%Y-%m-%dT%H:%M:%SZ"


def tags_of(resource: Mapping[str, Any]) -> dict[str, str]:
    """
    Return the tags in AWS's description of a resource.
    """
    return {tag["Key"]: tag["Value"] for tag in resource.get("Tags", [])}


def tag_list(cluster: str, role: str, **more: str) -> list[Any]:
    """
    Return the tags of a resource (cluster, role, expiry), and more, in AWS's format.
    """
    tags = {CLUSTER_TAG: cluster, ROLE_TAG: role, EXPIRES_TAG: expires_in(KEEP_H), **more}
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def expires_in(hours: float) -> str:
    """
    Return the value of the expiry tag, some hours from now.
    """
    return time_text(datetime.now(UTC) + timedelta(hours=hours))


def time_text(time: datetime) -> str:
    """
    Return a time in UTC as our tags have it.
    """
    return time.strftime(_TIME)


def expiry_of(tags: Mapping[str, str]) -> datetime | None:
    """
    Read the expiry tag; None if there is none, or it is no time as `time_text` writes it.
    """
    try:
        read = datetime.strptime(tags.get(EXPIRES_TAG, ""), _TIME)
    except ValueError:
        return None
    return read.replace(tzinfo=UTC)


def tag_specifications(tags: list[Any], *kinds: str) -> list[Any]:
    """
    Return tags for a create request: a resource that is tagged from the start cannot be lost.
    """
    return [{"ResourceType": kind, "Tags": tags} for kind in kinds]


def find_tagged(ec2: "EC2Client", cluster: str, operation: Any, path: str) -> list[Any]:  # noqa: ANN401 - a literal of hundreds
    """
    Find the resources of a cluster, at a JMESPath of an operation's answers: `Volumes[]` of
    `describe_volumes`.

    The tag is compared again: EC2's filters expand `*` and `?`, which would find every cluster.
    """
    ours: Any = [{"Name": BY_CLUSTER, "Values": [cluster]}]
    if ec2.can_paginate(operation):
        found = ec2.get_paginator(operation).paginate(Filters=ours).search(path)
    else:
        found = jmespath.search(path, getattr(ec2, operation)(Filters=ours))
    return [one for one in found if tags_of(one).get(CLUSTER_TAG) == cluster]
