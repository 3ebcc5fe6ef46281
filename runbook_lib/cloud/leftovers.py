"""
What still exists of a cluster in EC2, found by its tag.
"""

from typing import TYPE_CHECKING, Any

from runbook_lib.cloud.instances import find_instances
from runbook_lib.cloud.tags import cluster_filter
from runbook_lib.core.wait import wait_until_none

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def find_leftovers(ec2: "EC2Client", cluster: str) -> list[str]:
    """
    Everything in EC2 that still carries the cluster's tag, as "kind id".

    EC2 lists a terminated instance for about an hour more; it does not count.
    """
    tagged: Any = {"Filters": cluster_filter(cluster)}
    found = [("instance", i.instance_id) for i in find_instances(ec2, cluster)]
    found += [("volume", v["VolumeId"]) for v in ec2.describe_volumes(**tagged)["Volumes"]]
    groups = ec2.describe_security_groups(**tagged)["SecurityGroups"]
    found += [("security group", g["GroupId"]) for g in groups]
    found += [("key pair", k["KeyName"]) for k in ec2.describe_key_pairs(**tagged)["KeyPairs"]]
    return [f"{kind} {name}" for kind, name in found]


def wait_for_no_leftovers(ec2: "EC2Client", cluster: str, timeout_s: float = 120) -> list[str]:
    """
    Wait until EC2 has nothing of the cluster, and return what is left at the end.

    Disks are deleted some seconds after their instance.
    """
    return wait_until_none(
        "Nothing is left in EC2",
        lambda: find_leftovers(ec2, cluster),
        timeout_s=timeout_s,
        poll_s=1,
    )
