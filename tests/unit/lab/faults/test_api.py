"""
Every kind of failure of the API, as a client sees it.
"""

import socket
import time

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from lab.faults import api
from lab.faults.armed import Fault


def code_of(call):
    """The error's code; "" if there is none."""
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"]
    return ""


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        ("throttle", {"ec2": "RequestLimitExceeded", "iam": "Throttling", "s3": "SlowDown"}),
        ("expired", {"ec2": "RequestExpired", "iam": "ExpiredToken", "s3": "ExpiredToken"}),
    ],
)
def test_a_refusal_has_the_code_of_its_service_and_ends_with_its_count(cloud, faults, kind, codes):
    calls = {
        "ec2": cloud("ec2").describe_vpcs,
        "iam": cloud("iam").list_roles,
        "s3": cloud("s3").list_buckets,
    }
    for service, call in calls.items():
        fault = faults.arm(Fault(kind, count=2))
        assert [codes[service]] * 2 + [""] == [code_of(call) for _ in range(3)]
        faults.disarm(fault.number)


def test_an_error_of_the_server_is_a_500_or_a_503_by_the_seed(cloud, faults):
    faults.arm(Fault("error", seed=4, count=8))
    ec2 = cloud("ec2")
    first = [code_of(ec2.describe_vpcs) for _ in range(9)]
    faults.disarm()
    faults.arm(Fault("error", seed=4, count=8))

    assert {"InternalError", "Unavailable"} == set(first[:8])
    assert "" == first[8]
    assert first == [code_of(ec2.describe_vpcs) for _ in range(9)]


def test_a_lost_answer_breaks_the_connection_after_the_call_was_carried_out(cloud, faults):
    faults.arm(Fault("lost", count=1, only=("CreateSecurityGroup",)))
    ec2 = cloud("ec2")
    with pytest.raises(ConnectionClosedError):
        ec2.create_security_group(GroupName="lost", Description="lost")
    again = code_of(lambda: ec2.create_security_group(GroupName="lost", Description="lost"))
    assert "InvalidGroup.Duplicate" == again
    assert ["ec2:CreateSecurityGroup 1: answer 200 lost"] == faults.strikes()[1]


def test_a_client_that_has_hung_up_already_is_no_error_of_the_server():
    server, client = socket.socketpair()
    for end in (client, server):
        end.close()
    with pytest.raises(ConnectionAbortedError):
        api._break({"werkzeug.socket": server})


def test_a_slow_answer_comes_after_its_seconds(cloud, faults):
    faults.arm(Fault("slow", count=1, seconds=0.3))
    began = time.monotonic()
    assert "" == code_of(cloud("ec2").describe_vpcs)
    assert time.monotonic() - began >= 0.3


def test_what_was_just_created_is_not_found_for_a_few_calls(cloud, faults):
    faults.arm(Fault("not-found", seed=1, count=10))
    ec2, iam = cloud("ec2"), cloud("iam")
    group = ec2.create_security_group(GroupName="new", Description="new")["GroupId"]
    seen = [
        code_of(lambda: ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[]))
        for _ in range(4)
    ]
    assert "InvalidGroup.NotFound" == seen[0]
    assert "InvalidGroup.NotFound" != seen[3]

    iam.create_role(RoleName="new", AssumeRolePolicyDocument="{}")
    seen = [code_of(lambda: iam.get_role(RoleName="new")) for _ in range(4)]
    assert ("NoSuchEntity", "") == (seen[0], seen[3])


def test_a_list_does_not_show_it_yet_either(cloud, faults):
    faults.arm(Fault("not-found", count=10))
    ec2 = cloud("ec2")
    ec2.create_key_pair(KeyName="new")
    group = ec2.create_security_group(GroupName="new", Description="new")["GroupId"]

    def listed():
        pairs = ec2.describe_key_pairs()["KeyPairs"]
        groups = ec2.describe_security_groups()["SecurityGroups"]
        return [p["KeyName"] for p in pairs], [
            g["GroupId"] for g in groups if g["GroupId"] == group
        ]

    assert ([], []) == listed()
    assert (["new"], [group]) == [listed() for _ in range(3)][-1]


def test_capacity_may_lack_in_one_zone_only(cloud, faults):
    faults.arm(Fault("capacity", count=9, only=("us-east-1a",)))
    ec2 = cloud("ec2")

    def launch(zone):
        return code_of(
            lambda: ec2.run_instances(
                ImageId="ami-12c6146b",
                MinCount=1,
                MaxCount=1,
                InstanceType="t2.micro",
                Placement={"AvailabilityZone": zone},
            )
        )

    assert "InsufficientInstanceCapacity" == launch("us-east-1a")
    assert "InsufficientInstanceCapacity" != launch("us-east-1b")


def test_of_two_faults_of_a_kind_each_strikes_as_often_as_it_may(cloud, faults):
    for _ in range(2):
        faults.arm(Fault("throttle", count=1))
    ec2 = cloud("ec2")
    codes = [code_of(ec2.describe_vpcs) for _ in range(3)]
    assert ["RequestLimitExceeded", "RequestLimitExceeded", ""] == codes


def test_the_labs_administrator_is_spared(cloud, faults):
    faults.arm(Fault("throttle", count=9))
    assert "" == code_of(cloud("ec2", "spared").describe_vpcs)
    assert {} == faults.strikes()
