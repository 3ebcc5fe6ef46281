"""
The rules inside security groups, one by one: read, authorized and revoked.

DescribeSecurityGroups merges the sources of one port into one permission; the calls for single
rules do not. `group_ids` maps the names of the tables to EC2's ids.
"""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from runbook_lib.cloud.firewall import Permission, Rule
from runbook_lib.core.changes import Changes

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import IpPermissionTypeDef, SecurityGroupRuleTypeDef


def find_permissions(ec2: "EC2Client", group_ids: dict[str, str]) -> list[Permission]:
    """
    Every ingress rule of these groups, with the table's name where a source is one of them.
    """
    names = {group_id: name for name, group_id in group_ids.items()}
    pages = ec2.get_paginator("describe_security_group_rules").paginate(
        Filters=[{"Name": "group-id", "Values": list(names)}]
    )
    rules = [rule for page in pages for rule in page["SecurityGroupRules"]]
    return [_permission(rule, names) for rule in rules if not rule["IsEgress"]]


def authorize(
    ec2: "EC2Client", group_ids: dict[str, str], rules: list[Rule], changes: Changes
) -> bool:
    """
    Authorize rules, one call a group; False where one of them existed already.

    EC2 refuses the whole call then: the caller reads the rules again, and adds those still missing.
    """
    won = True
    for name, group_id in group_ids.items():
        missing = [rule for rule in rules if rule.group == name]
        if not missing:
            continue
        wanted = [_ip_permission(rule, group_ids) for rule in missing]
        try:
            ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=wanted)
        except ClientError as error:
            won = _lost(error, "InvalidPermission.Duplicate")
            continue
        for rule in missing:
            changes.add("rule", str(rule), "authorized")
    return won


def revoke(
    ec2: "EC2Client", group_ids: dict[str, str], extra: list[Permission], changes: Changes
) -> bool:
    """
    Revoke rules by their ids, one call a group; False where one of them was gone already.
    """
    won = True
    for name, group_id in group_ids.items():
        leaving = [permission for permission in extra if permission.group == name]
        if not leaving:
            continue
        ids = [permission.rule_id for permission in leaving]
        try:
            ec2.revoke_security_group_ingress(GroupId=group_id, SecurityGroupRuleIds=ids)
        except ClientError as error:
            won = _lost(error, "InvalidPermission.NotFound", "InvalidSecurityGroupRuleId.NotFound")
            continue
        for permission in leaving:
            changes.add("rule", str(permission), "revoked")
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
    permission: IpPermissionTypeDef = {
        "IpProtocol": rule.protocol,
        "FromPort": rule.port,
        "ToPort": rule.port,
    }
    if rule.source in group_ids:
        permission["UserIdGroupPairs"] = [
            {"GroupId": group_ids[rule.source], "Description": rule.why}
        ]
    else:
        permission["IpRanges"] = [{"CidrIp": rule.source, "Description": rule.why}]
    return permission


def _lost(error: ClientError, *codes: str) -> bool:
    """
    Return False for a lost race; raise any other error.
    """
    if error.response["Error"]["Code"] not in codes:
        raise error
    return False
