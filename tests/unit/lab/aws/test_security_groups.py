"""
Rules of security groups: what AWS refuses is refused, before the hypervisor writes it in a script.
"""

from types import SimpleNamespace

import boto3
import moto.ec2.models
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.ec2.models import ec2_backends

from lab.aws.ec2 import LabBackend

HOSTILE = "tcp accept; } chain ingress {"


@pytest.fixture
def ec2(monkeypatch):
    """EC2 as the lab's own backend answers, without a machine behind it."""
    monkeypatch.setattr(ec2_backends, "backend", LabBackend)
    monkeypatch.setattr(moto.ec2.models, "LabBackend", LabBackend, raising=False)
    config = SimpleNamespace(subnet="172.31.0.0/16")
    monkeypatch.setattr(LabBackend, "hypervisor", SimpleNamespace(config=config), raising=False)
    with mock_aws():
        yield boto3.client(
            "ec2", "us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
        )


@pytest.fixture
def group(ec2):
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    return ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"]


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
