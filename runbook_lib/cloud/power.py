"""
Stop an instance, or cut it off from the network; each call can be repeated.

Security groups track connections, so an open connection survives a change of groups, on AWS and in
the lab. An instance that is cut off is therefore rebooted: its new connections are subject to the
new group. Source:
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/security-group-connection-tracking.html
"""

from typing import TYPE_CHECKING

from runbook_lib.cloud.instances import find_instances, get_instance
from runbook_lib.cloud.security_groups import (
    create_group,
    delete_group,
    ensure_membership,
    find_groups,
)
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import NotFoundError
from runbook_lib.core.wait import Pending, wait_for

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

QUARANTINE = "quarantine"
"""The role of the group that allows no traffic, and that no rule of another group refers to."""


def stop(ec2: "EC2Client", cluster: str, role: str) -> Changes:
    """
    Stop an instance, and wait until it has stopped.
    """
    changes = Changes()
    instance = get_instance(ec2, cluster, role)
    if instance.state in ("pending", "running"):
        ec2.stop_instances(InstanceIds=[instance.instance_id])
        changes.add("instance", role, "stopped")

    def probe() -> bool | Pending:
        state = get_instance(ec2, cluster, role).state
        return state == "stopped" or Pending(f"it is {state}")

    wait_for(f"{role} has stopped", probe, timeout_s=120)
    return changes


def cut_off(ec2: "EC2Client", cluster: str, role: str) -> Changes:
    """
    Move an instance into the group that allows no traffic, and reboot it.
    """
    changes = Changes()
    instance = get_instance(ec2, cluster, role)
    group_id = _ensure_quarantine(ec2, cluster, changes)
    ec2.modify_instance_attribute(InstanceId=instance.instance_id, Groups=[group_id])
    changes.add("membership", role, f"now in {QUARANTINE} alone")
    ec2.reboot_instances(InstanceIds=[instance.instance_id])
    changes.add("instance", role, "rebooted")
    return changes


def restore_groups(ec2: "EC2Client", cluster: str, timeout_s: float = 60) -> Changes:
    """
    Move every instance back into the groups of its role, and delete the quarantine group.
    """
    changes = ensure_membership(ec2, cluster, find_instances(ec2, cluster))
    for group in find_groups(ec2, cluster):
        if group.name == QUARANTINE:
            delete_group(ec2, cluster, group, changes, timeout_s)
    return changes


def _ensure_quarantine(ec2: "EC2Client", cluster: str, changes: Changes) -> str:
    groups = {group.name: group for group in find_groups(ec2, cluster)}
    if QUARANTINE in groups:
        return groups[QUARANTINE].group_id
    if not groups:
        raise NotFoundError(
            f"expected the security groups of {cluster!r}, found none",
            next_step="run 02_security_groups",
        )
    vpc_id, why = next(iter(groups.values())).vpc_id, "Geo-Diff drill: an instance cut off"
    return create_group(ec2, cluster, QUARANTINE, why, vpc_id, changes)
