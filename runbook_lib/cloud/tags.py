"""
The tags that identify a cluster's resources in AWS.
"""

from collections.abc import Mapping
from typing import Any

CLUSTER_TAG = "runbook:cluster"
ROLE_TAG = "runbook:role"


def tags_of(resource: Mapping[str, Any]) -> dict[str, str]:
    """
    Return the tags in AWS's description of a resource.
    """
    return {tag["Key"]: tag["Value"] for tag in resource.get("Tags", [])}


def tag_list(cluster: str, role: str, **more: str) -> list[Any]:
    """
    Return the two tags of a resource, and more, in AWS's format.
    """
    tags = {CLUSTER_TAG: cluster, ROLE_TAG: role, **more}
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tag_specifications(tags: list[Any], *kinds: str) -> list[Any]:
    """
    Return tags for a create request: a resource that is tagged from the start cannot be lost.
    """
    return [{"ResourceType": kind, "Tags": tags} for kind in kinds]


def cluster_filter(cluster: str) -> list[Any]:
    """
    Return the filter that finds the resources of a cluster.
    """
    return [{"Name": f"tag:{CLUSTER_TAG}", "Values": [cluster]}]
