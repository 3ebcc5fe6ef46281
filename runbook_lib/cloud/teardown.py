"""
Remove a cluster's resources from EC2, found by tag, and list what is left.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from runbook_lib.cloud.aws import remove_or_gone
from runbook_lib.cloud.instances import ALIVE, describe, find_instances
from runbook_lib.cloud.key_files import known_hosts_path, new_key_path
from runbook_lib.cloud.key_pairs import MADE, ORIGIN_TAG, find_key_pair, matches
from runbook_lib.cloud.lock import remove_expired_lock
from runbook_lib.cloud.security_group_rules import find_permissions, revoke
from runbook_lib.cloud.security_groups import Group, delete_group, find_groups
from runbook_lib.cloud.tags import ROLE_TAG, find_tagged, tags_of
from runbook_lib.core.changes import Changes
from runbook_lib.core.wait import Pending, wait_for, wait_until_none

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def remove_instances(ec2: "EC2Client", cluster: str, *, role: str = "") -> Changes:
    """
    Terminate the instances with the cluster's tag, and wait until they are gone.

    With `role`, only the instance of that role.
    """
    changes = Changes()
    found = [i for i in find_instances(ec2, cluster) if role in ("", i.role)]
    if not found:
        return changes
    ec2.terminate_instances(InstanceIds=[i.instance_id for i in found])
    for instance in found:
        changes.add("instance", instance.role, f"terminated {instance.instance_id}")

    def probe() -> bool | Pending:
        left = [i for i in describe(ec2, cluster) if i["State"]["Name"] != "terminated"]
        count = sum(role in ("", tags_of(i).get(ROLE_TAG)) for i in left)
        return Pending(f"{count} still shutting down") if count else True

    wait_for("Instances terminated", probe, timeout_s=300)
    return changes


def remove_groups(ec2: "EC2Client", cluster: str, timeout_s: float = 120) -> Changes:
    """
    Delete the cluster's groups; remaining members go back to the default group.

    Rules are revoked first: groups that refer to each other cannot be deleted.
    """
    changes = remove_expired_lock(ec2, cluster)
    groups = find_groups(ec2, cluster)
    if not groups:
        return changes
    _move_members_out(ec2, groups, changes)
    group_ids = {group.name: group.group_id for group in groups}
    for _ in range(5):  # AWS refuses a batch if another client has just revoked one of its rules
        if revoke(ec2, group_ids, find_permissions(ec2, group_ids), changes):
            break
    for group in groups:
        delete_group(ec2, cluster, group, changes, timeout_s)
    return changes


def remove_key_pair(ec2: "EC2Client", cluster: str, key_file: str) -> Changes:
    """
    Delete the pair from EC2, and the private key from this machine if it was generated here.

    A key that the user provided stays. So does one that is not in EC2: it may belong to a cluster
    of another name, region or account.
    """
    changes = Changes()
    known = find_key_pair(ec2, cluster)
    if known is None:
        return changes
    files = (Path(key_file).expanduser(), new_key_path(key_file, cluster))
    if held := [file for file in files if file.exists() and matches(known, file)]:
        ours = held if tags_of(known).get(ORIGIN_TAG) == MADE else []
        for file in (*ours, known_hosts_path(key_file)):
            if file.exists():
                file.unlink()
                changes.add("file", str(file), "deleted")
    remove_or_gone(
        lambda: ec2.delete_key_pair(KeyName=cluster), lambda: find_key_pair(ec2, cluster)
    )
    changes.add("key pair", cluster, "deleted")
    return changes


def find_leftovers(ec2: "EC2Client", cluster: str) -> list[str]:
    """
    Everything in EC2 that still has the cluster's tag, as "kind id".

    EC2 lists a terminated instance for about another hour; it does not count.
    """
    tagged = partial(find_tagged, ec2, cluster)
    found = [("instance", i.instance_id) for i in find_instances(ec2, cluster)]
    found += [("volume", v["VolumeId"]) for v in tagged("describe_volumes", "Volumes[]")]
    found += [("security group", group.group_id) for group in find_groups(ec2, cluster)]
    found += [("key pair", k["KeyName"]) for k in tagged("describe_key_pairs", "KeyPairs[]")]
    return [f"{kind} {name}" for kind, name in found]


def wait_for_no_leftovers(ec2: "EC2Client", cluster: str) -> list[str]:
    """
    Wait until nothing of the cluster is left in EC2; return what remains at the time limit.

    Disks are deleted some seconds after their instance.
    """
    find = partial(find_leftovers, ec2, cluster)
    return wait_until_none("Nothing is left in EC2", find, timeout_s=120, poll_s=1)


def _move_members_out(ec2: "EC2Client", groups: list[Group], changes: Changes) -> None:
    ours = {group.group_id for group in groups}
    pages = ec2.get_paginator("describe_instances").paginate(
        Filters=[
            {"Name": "instance.group-id", "Values": sorted(ours)},
            {"Name": "instance-state-name", "Values": list(ALIVE)},
        ]
    )
    found = pages.search("Reservations[].Instances[]")
    members = {tags_of(i).get(ROLE_TAG, i["InstanceId"]): i for i in found}
    for name, member in sorted(members.items()):
        others = [g["GroupId"] for g in member["SecurityGroups"] if g["GroupId"] not in ours]
        stay = others or [_default_group(ec2, member["VpcId"])]
        ec2.modify_instance_attribute(InstanceId=member["InstanceId"], Groups=stay)
        where = ", ".join(others) if others else "the default group"
        changes.add("membership", name, f"now in {where}")


def _default_group(ec2: "EC2Client", vpc_id: str) -> str:
    return ec2.describe_security_groups(
        Filters=[
            {"Name": "vpc-id", "Values": [vpc_id]},
            {"Name": "group-name", "Values": ["default"]},
        ]
    )["SecurityGroups"][0]["GroupId"]
