"""
Groups, rules and members against an EC2 in this process (moto's).
"""

from types import SimpleNamespace

import pytest

from runbook_lib.cloud.firewall import Rule, guide_rules, wanted_rules
from runbook_lib.cloud.instances import find_instances
from runbook_lib.cloud.security_groups import (
    ensure_groups,
    ensure_membership,
    ensure_rules,
    find_groups,
    find_members,
    find_rules,
    get_default_vpc,
)
from runbook_lib.cloud.teardown import remove_groups
from runbook_lib.core.errors import ConflictError, NotFoundError, WaitTimeoutError

REFUSAL = {"Code": "DependencyViolation", "Message": "resource has a dependent object"}
RULES = guide_rules("203.0.113.7/32")


@pytest.fixture
def cluster(ec2):
    """
    The name of a cluster that has its groups and rules.
    """
    ensure_groups(ec2, "geo-diff", get_default_vpc(ec2))
    ensure_rules(ec2, "geo-diff", RULES)
    return "geo-diff"


def launch(ec2, role):
    tags = [{"Key": "runbook:cluster", "Value": "geo-diff"}, {"Key": "runbook:role", "Value": role}]
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    return ec2.run_instances(
        ImageId="ami-12c6146b",
        MinCount=1,
        MaxCount=1,
        SubnetId=subnet,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )["Instances"][0]["InstanceId"]


def group_ids(ec2):
    return {group.name: group.group_id for group in find_groups(ec2, "geo-diff")}


def held(ec2, name):
    """
    The rules of one group as (protocol, first port, last port, source).
    """
    names = {group_id: other for other, group_id in group_ids(ec2).items()}
    rules = ec2.describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": [group_ids(ec2)[name]]}]
    )["SecurityGroupRules"]
    return {
        (
            r["IpProtocol"],
            r["FromPort"],
            r["ToPort"],
            names.get(r.get("ReferencedGroupInfo", {}).get("GroupId")) or r.get("CidrIpv4"),
        )
        for r in rules
        if not r["IsEgress"]
    }


def open_to_the_world(ec2, name, port):
    ec2.authorize_security_group_ingress(
        GroupId=group_ids(ec2)[name], IpProtocol="tcp", FromPort=port, ToPort=port,
        CidrIp="0.0.0.0/0",
    )  # fmt: skip


def test_groups_are_made_once_with_their_tags(ec2):
    """
    The second call has nothing to do.
    """
    vpc = get_default_vpc(ec2)

    first = ensure_groups(ec2, "geo-diff", vpc)
    second = ensure_groups(ec2, "geo-diff", vpc)

    names = ["worker", "manager", "web", "backup"]
    assert [c.name for c in first] == [f"geo-diff-{name}" for name in names]
    assert second == []
    assert {(name, vpc) for name in names} == {
        (group.name, group.vpc_id) for group in find_groups(ec2, "geo-diff")
    }


def test_a_group_of_that_name_that_is_not_ours_stops_everything(ec2):
    """
    Nothing has been made when the error comes.
    """
    vpc = get_default_vpc(ec2)
    ec2.create_security_group(GroupName="geo-diff-web", Description="a stranger", VpcId=vpc)

    with pytest.raises(ConflictError, match="geo-diff-web"):
        ensure_groups(ec2, "geo-diff", vpc)

    assert find_groups(ec2, "geo-diff") == []


def test_two_clusters_do_not_see_each_other(ec2, cluster):
    """
    The tag decides, not the name.
    """
    ensure_groups(ec2, "other", get_default_vpc(ec2))

    remove_groups(ec2, "other")

    assert [g.name for g in find_groups(ec2, cluster)] == ["worker", "manager", "web", "backup"]


def test_rules_become_those_of_the_tables(ec2, cluster):
    """
    And stay so: the second call has nothing to do.
    """
    expected = {(r.protocol, r.port, r.port, r.source) for r in RULES if r.group == "worker"}

    assert expected == held(ec2, "worker")
    assert ensure_rules(ec2, cluster, RULES) == []


def test_rules_read_back_are_said_as_the_tables_say_them(ec2, cluster):
    """
    So that a notebook can hold one list against the other.
    """
    assert sorted(map(str, RULES)) == sorted(map(str, find_rules(ec2, cluster)))


def test_a_port_of_another_stack_is_open_while_it_is_listed(ec2, cluster):
    """A rule that leaves the parameter is revoked; the guide's stay."""
    port = "web: tcp/80 from 0.0.0.0/0"
    opened = ensure_rules(ec2, cluster, wanted_rules("203.0.113.7/32", [port]))
    assert [("rule", port, "authorized")] == [(c.what, c.name, c.action) for c in opened]
    assert port in map(str, find_rules(ec2, cluster))

    closed = ensure_rules(ec2, cluster, wanted_rules("203.0.113.7/32"))
    assert [("rule", port, "revoked")] == [(c.what, c.name, c.action) for c in closed]
    assert sorted(map(str, RULES)) == sorted(map(str, find_rules(ec2, cluster)))


def test_rules_without_groups_point_back_to_the_beginning(ec2):
    """
    The error names what is missing.
    """
    with pytest.raises(NotFoundError, match="missing: worker, manager, web"):
        ensure_rules(ec2, "geo-diff", RULES)


def test_drift_is_revoked_and_shown(ec2, cluster):
    """
    A rule that somebody added by hand.
    """
    open_to_the_world(ec2, "worker", 3306)

    changes = ensure_rules(ec2, cluster, RULES)

    assert [(c.name, c.action) for c in changes] == [("worker: tcp/3306 from 0.0.0.0/0", "revoked")]
    assert ("tcp", 3306, 3306, "0.0.0.0/0") not in held(ec2, "worker")


def test_a_rule_that_somebody_else_authorizes_first_is_no_error(cloud, ec2, cluster):
    """
    EC2 refuses the whole batch then; the other rule of the batch arrives all the same.
    """
    other = cloud("ec2")

    def race(**_):
        ec2.meta.events.unregister("before-call.ec2.AuthorizeSecurityGroupIngress", race)
        open_to_the_world(other, "web", 9001)

    ec2.meta.events.register("before-call.ec2.AuthorizeSecurityGroupIngress", race)
    more = [Rule("web", "tcp", port, "0.0.0.0/0") for port in (9001, 9002)]

    ensure_rules(ec2, cluster, [*RULES, *more])

    assert {9001, 9002} <= {first for _, first, _, _ in held(ec2, "web")}
    assert ensure_rules(ec2, cluster, [*RULES, *more]) == []


def test_a_rule_that_somebody_else_revokes_first_is_no_error(cloud, ec2, cluster):
    """
    Gone is what was wanted.
    """
    open_to_the_world(ec2, "web", 9001)
    other = cloud("ec2")

    def race(**_):
        ec2.meta.events.unregister("before-call.ec2.RevokeSecurityGroupIngress", race)
        other.revoke_security_group_ingress(
            GroupId=group_ids(other)["web"], IpProtocol="tcp", FromPort=9001, ToPort=9001,
            CidrIp="0.0.0.0/0",
        )  # fmt: skip

    ec2.meta.events.register("before-call.ec2.RevokeSecurityGroupIngress", race)

    assert ensure_rules(ec2, cluster, RULES) == []


def test_every_instance_gets_exactly_the_groups_of_its_role(ec2, cluster):
    """
    Also where it was in too many; the second call has nothing to do.
    """
    launch(ec2, "manager")
    worker = launch(ec2, "worker-1")
    ec2.modify_instance_attribute(InstanceId=worker, Groups=list(group_ids(ec2).values()))

    changes = ensure_membership(ec2, cluster, find_instances(ec2, cluster))

    assert {c.name: c.action for c in changes} == {
        "manager": "now in worker, manager, web, backup",
        "worker-1": "now in worker",
    }
    assert ensure_membership(ec2, cluster, find_instances(ec2, cluster)) == []
    assert find_members(ec2, cluster, find_instances(ec2, cluster)) == {
        "manager": ("worker", "manager", "web", "backup"),
        "worker-1": ("worker",),
    }


def test_removal_puts_instances_back_and_breaks_circular_references(ec2, cluster):
    """
    The groups worker and manager name each other; the second call has nothing to do.
    """
    launch(ec2, "manager")
    ensure_membership(ec2, cluster, find_instances(ec2, cluster))

    changes = remove_groups(ec2, cluster)

    left = ec2.describe_security_groups()["SecurityGroups"]
    default = [g["GroupId"] for g in left if g["GroupName"] == "default"]
    assert [g["GroupName"] for g in left] == ["default"]
    assert default == list(find_instances(ec2, cluster)[0].group_ids)
    assert sum(c.action == "deleted" for c in changes) == 4
    assert remove_groups(ec2, cluster) == []


def test_a_group_that_others_still_use_ends_in_an_error_that_says_so(ec2, cluster):
    """
    Moto deletes a group in use, AWS does not: the refusal is put in by hand.
    """

    def refuse(**_):
        return SimpleNamespace(status_code=400), {"Error": REFUSAL}

    ec2.meta.events.register("before-call.ec2.DeleteSecurityGroup", refuse)

    with pytest.raises(WaitTimeoutError, match="resource has a dependent object") as caught:
        remove_groups(ec2, cluster, timeout_s=0)

    assert "describe-network-interfaces" in str(caught.value)
