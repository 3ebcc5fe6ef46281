"""
Individual rules of security groups: read, authorized and revoked.

DescribeSecurityGroups merges the sources of one port into one permission; the calls for individual
rules do not. `group_ids` maps the tables' names to EC2's ids.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from botocore.exceptions import ClientError

from runbook_lib.cloud.firewall import Permission, Rule
from runbook_lib.core.changes import Changes

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import IpPermissionTypeDef, SecurityGroupRuleTypeDef

R = TypeVar("R", Rule, Permission)


def find_permissions(ec2: "EC2Client", group_ids: dict[str, str]) -> list[Permission]:
    """
    Find every ingress rule of these groups; a source among them has the table's name.
    """
    names = {group_id: name for name, group_id in group_ids.items()}
    pages = ec2.get_paginator("describe_security_group_rules").paginate(
        Filters=[{"Name": "group-id", "Values": list(names)}]
    )
    rules = pages.search("SecurityGroupRules[]")
    return [_permission(rule, names) for rule in rules if not rule["IsEgress"]]


def authorize(
    ec2: "EC2Client", group_ids: dict[str, str], rules: list[Rule], changes: Changes
) -> bool:
    """
    Authorize rules, one call per group; False if one of them already existed.

    EC2 then refuses the whole call: the caller reads the rules again and adds those still missing.
    """

    def call(group_id: str, missing: list[Rule]) -> None:
        wanted = [_ip_permission(rule, group_ids) for rule in missing]
        ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=wanted)

    lost = ("InvalidPermission.Duplicate",)
    return _call_per_group(group_ids, rules, call, lost, changes, "authorized")


def revoke(
    ec2: "EC2Client", group_ids: dict[str, str], extra: list[Permission], changes: Changes
) -> bool:
    """
    Revoke rules by their ids, one call per group; False if one of them was already gone.
    """

    def call(group_id: str, leaving: list[Permission]) -> None:
        ids = [permission.rule_id for permission in leaving]
        ec2.revoke_security_group_ingress(GroupId=group_id, SecurityGroupRuleIds=ids)

    lost = ("InvalidPermission.NotFound", "InvalidSecurityGroupRuleId.NotFound")
    return _call_per_group(group_ids, extra, call, lost, changes, "revoked")


def _call_per_group(
    group_ids: dict[str, str],
    rules: list[R],
    call: Callable[[str, list[R]], None],
    lost: tuple[str, ...],
    changes: Changes,
    action: str,
) -> bool:
    won = True
    for name, group_id in group_ids.items():
        if its := [rule for rule in rules if rule.group == name]:
            try:
                call(group_id, its)
            except ClientError as error:
                if error.response["Error"]["Code"] not in lost:
                    raise
                won = False
                continue
            for rule in its:
                changes.add("rule", str(rule), action)
    return won


def _permission(raw: "SecurityGroupRuleTypeDef", names: dict[str, str]) -> Permission:
    referenced = raw.get("ReferencedGroupInfo", {}).get("GroupId", "")
    return Permission(
        group=names[raw["GroupId"]],
        protocol=raw["IpProtocol"],
        from_port=raw.get("FromPort", -1),
        to_port=raw.get("ToPort", -1),
        source=names.get(referenced, referenced)
        or raw.get("CidrIpv4")
        or raw.get("CidrIpv6")
        or raw.get("PrefixListId", ""),
        rule_id=raw["SecurityGroupRuleId"],
    )


def _ip_permission(rule: Rule, group_ids: dict[str, str]) -> "IpPermissionTypeDef":
    source: IpPermissionTypeDef
    if group_id := group_ids.get(rule.source):
        source = {"UserIdGroupPairs": [{"GroupId": group_id, "Description": rule.why}]}
    else:
        source = {"IpRanges": [{"CidrIp": rule.source, "Description": rule.why}]}
    return {"IpProtocol": rule.protocol, "FromPort": rule.port, "ToPort": rule.port, **source}
