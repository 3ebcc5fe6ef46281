"""
Security groups in EC2: groups, rules and members, brought in line with the tables.

Source: section "Grupos de Seguridad (Reglas de FW)" of the guide; `firewall` has the tables.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbook_lib.cloud.aws import make_or_adopt, once_ready, remove_or_gone
from runbook_lib.cloud.firewall import Permission, Rule, rule_changes
from runbook_lib.cloud.instances import Instance
from runbook_lib.cloud.roles import ROLES, get_role
from runbook_lib.cloud.security_group_rules import authorize, find_permissions, revoke
from runbook_lib.cloud.tags import (
    CLUSTER_TAG,
    LOCK,
    ROLE_TAG,
    find_tagged,
    tag_list,
    tag_specifications,
    tags_of,
)
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

NAMES = tuple(dict.fromkeys(group for role in ROLES.values() for group in role.groups))


@dataclass(frozen=True)
class Group:
    """
    One security group of the cluster; `name` is its name in the guide's table.
    """

    name: str
    group_id: str
    vpc_id: str


def get_default_vpc(ec2: "EC2Client") -> str:
    """
    Return the id of the region's default VPC, which contains the instances.
    """
    found = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    if not found:
        raise NotFoundError(
            f"expected a default VPC in {ec2.meta.region_name}, found none",
            next_step="create one:  aws ec2 create-default-vpc",
        )
    return found[0]["VpcId"]


def find_groups(ec2: "EC2Client", cluster: str) -> list[Group]:
    """
    Find the groups with the cluster's tag but its lock, in the order of the tables.
    """
    found = [
        Group(tags_of(raw).get(ROLE_TAG, "?"), raw["GroupId"], raw["VpcId"])
        for raw in find_tagged(ec2, cluster, "describe_security_groups", "SecurityGroups[]")
        if tags_of(raw).get(ROLE_TAG) != LOCK
    ]
    return sorted(found, key=lambda g: NAMES.index(g.name) if g.name in NAMES else len(NAMES))


def ensure_groups(ec2: "EC2Client", cluster: str, vpc_id: str) -> Changes:
    """
    Create the missing groups, with tags and without rules.

    Raises ConflictError, without changes, if a group of that name exists without our tag.
    """
    found = find_groups(ec2, cluster)
    _refuse_untagged(ec2, cluster, vpc_id)
    changes = Changes()
    for name in (n for n in NAMES if n not in {g.name for g in found}):
        create_group(ec2, cluster, name, f"Geo-Diff nodes of the group {name}", vpc_id, changes)
    return changes


def create_group(
    ec2: "EC2Client", cluster: str, name: str, description: str, vpc_id: str, changes: Changes
) -> str:
    """
    Create one tagged group without rules; return its id. One that was just made is adopted.
    """
    full_name = f"{cluster}-{name}"
    tags = tag_specifications(tag_list(cluster, name, Name=full_name), "security-group")

    def make() -> str:
        group_id = ec2.create_security_group(
            GroupName=full_name, Description=description, VpcId=vpc_id, TagSpecifications=tags
        )["GroupId"]
        changes.add("security group", full_name, f"created {group_id}")
        return group_id

    def find() -> str | None:
        ours = {group.name: group.group_id for group in find_groups(ec2, cluster)}
        _refuse_untagged(ec2, cluster, vpc_id)
        if group_id := ours.get(name):
            changes.add("security group", full_name, f"adopted {group_id}")
        return group_id

    return make_or_adopt(make, find)


def delete_group(
    ec2: "EC2Client", cluster: str, group: Group, changes: Changes, timeout_s: float
) -> None:
    """
    Delete a group once EC2 counts no instance as its member; it may already be gone.
    """
    full_name = f"{cluster}-{group.name}"

    def delete() -> None:
        remove_or_gone(
            lambda: ec2.delete_security_group(GroupId=group.group_id),
            lambda: group in find_groups(ec2, cluster),
        )

    once_ready(
        f"Security group {full_name} deleted",
        delete,
        {"DependencyViolation"},
        timeout_s,
        next_step="see what still uses it:  aws ec2 describe-network-interfaces --filters "
        f"Name=group-id,Values={group.group_id}",
    )
    changes.add("security group", full_name, "deleted")


def find_rules(ec2: "EC2Client", cluster: str) -> list[Permission]:
    """
    Find the ingress rules of the cluster's groups in EC2, printed like those of the tables.
    """
    return find_permissions(ec2, {g.name: g.group_id for g in find_groups(ec2, cluster)})


def find_members(
    ec2: "EC2Client", cluster: str, instances: list[Instance]
) -> dict[str, tuple[str, ...]]:
    """
    Find the groups of every instance by role; a group without our tag is given by its id.
    """
    names = {group.group_id: group.name for group in find_groups(ec2, cluster)}
    order = [*names, *sorted({g for i in instances for g in i.group_ids} - set(names))]
    return {i.role: tuple(names.get(g, g) for g in order if g in i.group_ids) for i in instances}


def ensure_rules(ec2: "EC2Client", cluster: str, rules: list[Rule]) -> Changes:
    """
    Authorize the missing rules, then revoke those outside the tables.

    This order interrupts no working traffic. AWS refuses a whole batch if one of its rules already
    exists, or is already gone: another client is then changing the same groups, so the differences
    are read again.
    """
    group_ids = _group_ids(ec2, cluster)
    changes = Changes()
    for _ in range(5):
        missing, extra = rule_changes(find_permissions(ec2, group_ids), rules)
        authorized = authorize(ec2, group_ids, missing, changes)
        if revoke(ec2, group_ids, extra, changes) and authorized:
            return changes
    raise ConflictError(
        f"the rules of {cluster!r} kept changing while they were being corrected",
        next_step="find out what else changes these groups, then run this notebook again",
    )


def ensure_membership(ec2: "EC2Client", cluster: str, instances: list[Instance]) -> Changes:
    """
    Assign to every instance exactly the groups of its role.
    """
    ids = _group_ids(ec2, cluster)
    wanted = [(instance, get_role(instance.role).groups) for instance in instances]
    changes = Changes()
    for instance, names in wanted:
        group_ids = [ids[name] for name in names]
        if set(group_ids) != set(instance.group_ids):
            ec2.modify_instance_attribute(InstanceId=instance.instance_id, Groups=group_ids)
            changes.add("membership", instance.role, f"now in {', '.join(names)}")
    return changes


def _refuse_untagged(ec2: "EC2Client", cluster: str, vpc_id: str) -> None:
    names = [f"{cluster}-{name}" for name in NAMES]
    found = ec2.describe_security_groups(
        Filters=[{"Name": "vpc-id", "Values": [vpc_id]}, {"Name": "group-name", "Values": names}]
    )["SecurityGroups"]
    named = [g for g in found if g["GroupName"] in names]
    untagged = [g for g in named if tags_of(g).get(CLUSTER_TAG) != cluster]
    if untagged:
        raise ConflictError(
            f"expected no security group of these names without the tag {CLUSTER_TAG}={cluster}",
            evidence="\n".join(f"{g['GroupName']} ({g['GroupId']})" for g in untagged),
            next_step="choose another cluster name, or rename or delete the groups listed above",
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
