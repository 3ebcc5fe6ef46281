"""
Security groups in EC2: the groups, their rules and their members, made to be what the tables say.

Guide, section "Grupos de Seguridad (Reglas de FW)"; the tables themselves are in `firewall`.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from runbook_lib.cloud.firewall import Permission, Rule, rule_changes
from runbook_lib.cloud.instances import CLUSTER_TAG, ROLE_TAG, Instance
from runbook_lib.cloud.roles import ROLES, get_role
from runbook_lib.cloud.security_group_rules import authorize, find_permissions, revoke
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, NotFoundError
from runbook_lib.core.wait import Pending, wait_for

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

NAMES = tuple(dict.fromkeys(group for role in ROLES.values() for group in role.groups))
_ALIVE = ("pending", "running", "stopping", "stopped")


@dataclass(frozen=True)
class Group:
    """
    One security group of the cluster; `name` is that of the guide's table.
    """

    name: str
    group_id: str
    vpc_id: str


def get_default_vpc(ec2: "EC2Client") -> str:
    """
    The id of the region's default VPC, where the instances are.
    """
    found = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    if not found:
        raise NotFoundError(
            f"expected a default VPC in {ec2.meta.region_name}, found none",
            next_step="aws ec2 create-default-vpc  makes one again",
        )
    return found[0]["VpcId"]


def find_groups(ec2: "EC2Client", cluster: str) -> list[Group]:
    """
    The groups that carry the cluster's tag, in the order of the tables.
    """
    pages = ec2.get_paginator("describe_security_groups").paginate(
        Filters=[{"Name": f"tag:{CLUSTER_TAG}", "Values": [cluster]}]
    )
    found = []
    for raw in (group for page in pages for group in page["SecurityGroups"]):
        tags = {tag["Key"]: tag["Value"] for tag in raw.get("Tags", [])}
        found.append(Group(tags.get(ROLE_TAG, "?"), raw["GroupId"], raw["VpcId"]))
    return sorted(found, key=lambda g: NAMES.index(g.name) if g.name in NAMES else len(NAMES))


def ensure_groups(ec2: "EC2Client", cluster: str, vpc_id: str) -> Changes:
    """
    Create the groups that are missing, with their tags; they let nothing in yet.

    Raises
    ------
    ConflictError
        Where a group of that name exists that is not tagged as ours; nothing is touched then.
    """
    found = find_groups(ec2, cluster)
    _refuse_strangers(ec2, cluster, vpc_id, {g.group_id for g in found})
    changes = Changes()
    for name in (n for n in NAMES if n not in {g.name for g in found}):
        tags = {"Name": f"{cluster}-{name}", CLUSTER_TAG: cluster, ROLE_TAG: name}
        group_id = ec2.create_security_group(
            GroupName=f"{cluster}-{name}",
            Description=f"Geo-Diff nodes of the group {name}",
            VpcId=vpc_id,
            TagSpecifications=[
                {
                    "ResourceType": "security-group",
                    "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
                }
            ],
        )["GroupId"]
        changes.add("security group", f"{cluster}-{name}", f"created {group_id}")
    return changes


def find_rules(ec2: "EC2Client", cluster: str) -> list[Permission]:
    """
    What the cluster's groups let in, as EC2 holds it; shown as the rules of the tables are.
    """
    return find_permissions(ec2, {g.name: g.group_id for g in find_groups(ec2, cluster)})


def find_members(
    ec2: "EC2Client", cluster: str, instances: list[Instance]
) -> dict[str, tuple[str, ...]]:
    """
    The groups of every instance by role; one that is not the cluster's stands with its id.
    """
    names = {group.group_id: group.name for group in find_groups(ec2, cluster)}
    order = [*names, *sorted({g for i in instances for g in i.group_ids} - set(names))]
    return {i.role: tuple(names.get(g, g) for g in order if g in i.group_ids) for i in instances}


def ensure_rules(ec2: "EC2Client", cluster: str, rules: list[Rule]) -> Changes:
    """
    Authorize what the tables have and the groups lack, then revoke what no table has.

    In this order, so that nothing that works is interrupted. AWS refuses a whole batch when one
    of its rules exists already (or is gone already): then somebody else is at work on the same
    groups, and what differs now is read again.
    """
    group_ids = _group_ids(ec2, cluster)
    changes = Changes()
    for _ in range(5):
        differing = rule_changes(find_permissions(ec2, group_ids), rules)
        won = authorize(ec2, group_ids, differing.authorize, changes)
        won &= revoke(ec2, group_ids, differing.revoke, changes)
        if won:
            return changes
    raise ConflictError(
        f"the rules of {cluster!r} kept changing while they were put right",
        next_step="find out who else changes these groups, then run this notebook again",
    )


def ensure_membership(ec2: "EC2Client", cluster: str, instances: list[Instance]) -> Changes:
    """
    Put every instance into exactly the groups of its role.
    """
    ids = _group_ids(ec2, cluster)
    wanted = {i.role: get_role(i.role).groups for i in instances}
    changes = Changes()
    for instance in instances:
        group_ids = [ids[name] for name in wanted[instance.role]]
        if set(group_ids) != set(instance.group_ids):
            ec2.modify_instance_attribute(InstanceId=instance.instance_id, Groups=group_ids)
            changes.add("membership", instance.role, f"now in {', '.join(wanted[instance.role])}")
    return changes


def remove_groups(ec2: "EC2Client", cluster: str, timeout_s: float = 120) -> Changes:
    """
    Delete the cluster's groups; instances that are left go back to the default group.

    Rules go first, because groups that name each other cannot be deleted.
    """
    changes = Changes()
    groups = find_groups(ec2, cluster)
    if not groups:
        return changes
    _move_members_out(ec2, groups, changes)
    group_ids = {group.name: group.group_id for group in groups}
    revoke(ec2, group_ids, find_permissions(ec2, group_ids), changes)
    for name, group_id in group_ids.items():
        wait_for(
            f"Security group {cluster}-{name} deleted",
            partial(_delete, ec2, group_id),
            timeout_s=timeout_s,
            next_step="see who still uses it:  aws ec2 describe-network-interfaces --filters "
            f"Name=group-id,Values={group_id}",
        )
        changes.add("security group", f"{cluster}-{name}", "deleted")
    return changes


def _refuse_strangers(ec2: "EC2Client", cluster: str, vpc_id: str, ours: set[str]) -> None:
    same_name = ec2.describe_security_groups(
        Filters=[
            {"Name": "vpc-id", "Values": [vpc_id]},
            {"Name": "group-name", "Values": [f"{cluster}-{name}" for name in NAMES]},
        ]
    )["SecurityGroups"]
    strangers = [g for g in same_name if g["GroupId"] not in ours]
    if strangers:
        raise ConflictError(
            f"expected no security group of these names without the tag {CLUSTER_TAG}={cluster}",
            evidence="\n".join(f"{g['GroupName']} ({g['GroupId']})" for g in strangers),
            next_step="choose another cluster name, or rename or delete what the evidence names",
        )


def _group_ids(ec2: "EC2Client", cluster: str) -> dict[str, str]:
    found = {group.name: group.group_id for group in find_groups(ec2, cluster)}
    if missing := [name for name in NAMES if name not in found]:
        raise NotFoundError(
            f"expected the security groups {', '.join(NAMES)} of {cluster!r}; "
            f"missing: {', '.join(missing)}",
            next_step="run 02_security_groups from its beginning",
        )
    return found


def _move_members_out(ec2: "EC2Client", groups: list[Group], changes: Changes) -> None:
    ours = {group.group_id for group in groups}
    pages = ec2.get_paginator("describe_instances").paginate(
        Filters=[
            {"Name": "instance.group-id", "Values": sorted(ours)},
            {"Name": "instance-state-name", "Values": list(_ALIVE)},
        ]
    )
    members = {
        {tag["Key"]: tag["Value"] for tag in i.get("Tags", [])}.get(ROLE_TAG, i["InstanceId"]): i
        for page in pages
        for reservation in page["Reservations"]
        for i in reservation["Instances"]
    }
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


def _delete(ec2: "EC2Client", group_id: str) -> bool | Pending:
    try:
        ec2.delete_security_group(GroupId=group_id)
    except ClientError as error:
        if error.response["Error"]["Code"] == "DependencyViolation":
            return Pending(error.response["Error"]["Message"])
        if error.response["Error"]["Code"] != "InvalidGroup.NotFound":
            raise
    return True
