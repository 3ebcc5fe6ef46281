"""
Rules of security groups: what AWS refuses is refused, before the hypervisor writes it in a script.
"""

from itertools import count
from types import SimpleNamespace

import moto.ec2.models
import pytest
from botocore.exceptions import ClientError
from moto.ec2.models import ec2_backends

from lab.aws.ec2 import LabBackend
from tests.fakes.aws import account

NUMBERS = count()
HOSTILE = "tcp accept; } chain ingress {"


@pytest.fixture(scope="module")
def ec2():
    """EC2 as the lab's own backend answers, without a machine behind it."""
    config = SimpleNamespace(subnet="172.31.0.0/16")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ec2_backends, "backend", LabBackend)
        patch.setattr(moto.ec2.models, "LabBackend", LabBackend, raising=False)
        patch.setattr(LabBackend, "hypervisor", SimpleNamespace(config=config), raising=False)
        with account() as client:
            yield client("ec2")


@pytest.fixture
def group(ec2):
    """One for each test."""
    name = f"group-{next(NUMBERS)}"
    return ec2.create_security_group(GroupName=name, Description="d")["GroupId"]


def permissions(protocol):
    ranges = [{"CidrIp": "10.0.0.0/8"}]
    return [{"IpProtocol": protocol, "FromPort": 22, "ToPort": 22, "IpRanges": ranges}]


@pytest.mark.parametrize("protocol", [HOSTILE, "tcp\naccept", "256", "-2", "ip6", "tcp ", "٢"])
@pytest.mark.parametrize("side", ["ingress", "egress"])
def test_what_is_no_protocol_is_refused(ec2, group, side, protocol):
    call = getattr(ec2, f"authorize_security_group_{side}")
    with pytest.raises(ClientError, match="Unknown protocol"):
        call(GroupId=group, IpPermissions=permissions(protocol))


@pytest.mark.parametrize("protocol", ["tcp", "UDP", "icmp", "50", "-1", "all"])
def test_what_is_one_is_taken(ec2, group, protocol):
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=permissions(protocol))
    (rule,) = (
        one
        for one in ec2.describe_security_group_rules(
            Filters=[{"Name": "group-id", "Values": [group]}]
        )["SecurityGroupRules"]
        if not one["IsEgress"]
    )
    assert "10.0.0.0/8" == rule["CidrIpv4"]


@pytest.mark.parametrize(
    ("changed", "code"),
    [({"IpProtocol": HOSTILE}, "Unknown protocol"), ({"CidrIpv4": "0.0.0.0/0 accept"}, "CIDR")],
)
def test_a_rule_is_not_changed_into_such_a_one(ec2, group, changed, code):
    made = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=permissions("tcp"))
    rule = made["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    wanted = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIpv4": "10.0.0.0/8"}
    change = {"SecurityGroupRuleId": rule, "SecurityGroupRule": wanted | changed}
    with pytest.raises(ClientError, match=code):
        ec2.modify_security_group_rules(GroupId=group, SecurityGroupRules=[change])
