"""
Lists that are older than the change before them: asked for again, as the checks of 02 and 92 do.
"""

import boto3
import pytest

from runbook_lib.cloud import firewall, instances, security_groups, staleness
from runbook_lib.cloud.aws import Place
from runbook_lib.cloud.tags import tag_list, tag_specifications
from tests.fakes.aws import account

CLUSTER = "geo-diff"
RULES = firewall.wanted_rules("192.0.2.1/32")


class Old:
    """An answer that was true a moment ago."""

    status_code, headers = 200, {}

    def __init__(self, content):
        self.content = content


@pytest.fixture
def ec2(tmp_path):
    """A client of the library, with the groups of 02 and one instance in the default group."""
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = AKIA\naws_secret_access_key = x\n")
    with account():
        made = Place("us-east-1", "", str(file)).client("ec2")
        tags = tag_specifications(tag_list(CLUSTER, "manager"), "instance")
        made.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, TagSpecifications=tags)
        security_groups.ensure_groups(made, CLUSTER, security_groups.get_default_vpc(made))
        yield made


def grow_old(ec2, action, look, times=2):
    """The next answers of an action are as they are now; returns what is left of them."""
    left = []
    event = f"after-call.ec2.{action}"

    def keep(http_response, **_):
        left[:] = [Old(http_response.content)] * times

    ec2.meta.events.register(event, keep)
    look()
    ec2.meta.events.unregister(event, keep)
    ec2.meta.events.register(f"before-send.ec2.{action}", lambda **_: left.pop() if left else None)
    return left


def test_the_groups_of_an_instance_are_those_it_was_just_given(ec2):
    def look():
        return instances.find_instances(ec2, CLUSTER)

    before = look()
    old = grow_old(ec2, "DescribeInstances", look)
    security_groups.ensure_membership(ec2, CLUSTER, before)
    members = security_groups.find_members(ec2, CLUSTER, look())
    assert {"manager": ("worker", "manager", "web", "backup")} == members
    assert [] == old


def test_a_rule_that_was_revoked_is_not_found(ec2):
    def look():
        return security_groups.find_rules(ec2, CLUSTER)

    more = firewall.wanted_rules("192.0.2.1/32", ["web: tcp/80 from 0.0.0.0/0"])
    security_groups.ensure_rules(ec2, CLUSTER, more)
    ids = {g.name: g.group_id for g in security_groups.find_groups(ec2, CLUSTER)}
    (extra,) = firewall.rule_changes(look(), RULES)[1]
    old = grow_old(ec2, "DescribeSecurityGroupRules", look)
    ec2.revoke_security_group_ingress(GroupId=ids["web"], SecurityGroupRuleIds=[extra.rule_id])
    assert sorted(map(str, RULES)) == sorted(map(str, look()))
    assert [] == old


def test_a_group_that_was_deleted_is_not_found(ec2):
    def look():
        return security_groups.find_groups(ec2, CLUSTER)

    *others, last = look()
    old = grow_old(ec2, "DescribeSecurityGroups", look)
    ec2.delete_security_group(GroupId=last.group_id)
    assert others == look()
    assert [] == old


def test_what_somebody_else_has_changed_back_is_taken_for_true(ec2, monkeypatch):
    """After a limit: a list is asked for again, not for ever."""
    monkeypatch.setattr(staleness.CHANGED["us-east-1"], "limit_s", 2.0)
    (before,) = instances.find_instances(ec2, CLUSTER)
    security_groups.ensure_membership(ec2, CLUSTER, [before])
    somebody = boto3.client("ec2", "us-east-1")
    groups = list(before.group_ids)
    somebody.modify_instance_attribute(InstanceId=before.instance_id, Groups=groups)
    assert [before] == instances.find_instances(ec2, CLUSTER)
