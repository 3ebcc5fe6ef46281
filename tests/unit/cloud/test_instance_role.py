"""
The role and the instances that have it, against moto; what AWS knows late is put in between.
"""

import json
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from runbook_lib.cloud import aws, instance_role, role_assignment, tiles_bucket
from runbook_lib.core import wait
from runbook_lib.core.errors import ConflictError, NotFoundError
from tests.fakes.ec2 import instance


@pytest.fixture(autouse=True)
def without_sleep(monkeypatch):
    monkeypatch.setattr(wait.time, "sleep", lambda _: None)


RIGHT = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}


@pytest.fixture
def bucket(cloud):
    """Of an account whose administrator has made the policy of the role."""
    policy = json.dumps({"Version": "2012-10-17", "Statement": [RIGHT]})
    cloud("iam").create_policy(PolicyName=instance_role.POLICY, PolicyDocument=policy)
    return tiles_bucket.bucket_of(cloud("sts"), "c", "us-east-1")


@pytest.fixture
def worker(cloud):
    ec2 = cloud("ec2")
    made = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]
    return instance("worker-1", public_ip="54.0.0.4", instance_id=made["InstanceId"])


def late(monkeypatch, client, name, code, times=1):
    """A call of which AWS says first that it does not know what was made, or removed, just now."""
    known = getattr(client, name)
    first = ClientError({"Error": {"Code": code, "Message": "not yet"}}, name)
    calls = Mock(side_effect=[first] * times + [None])

    def call(**given):
        calls()
        return known(**given)

    monkeypatch.setattr(client, name, call)
    return calls


def test_the_role_is_made_once_and_only_an_instance_can_take_it(cloud, bucket):
    iam = cloud("iam")
    changes, made = instance_role.ensure_role(iam, bucket)
    again, found = instance_role.ensure_role(iam, bucket)
    trust = iam.get_role(RoleName=made.name)["Role"]["AssumeRolePolicyDocument"]

    assert (4, []) == (len(changes), again)
    assert made == found
    assert instance_role.find_role(iam, bucket)
    assert {"Service": "ec2.amazonaws.com"} == trust["Statement"][0]["Principal"]
    assert 2 == len(instance_role.remove_role(iam, bucket))
    assert [] == instance_role.remove_role(iam, bucket)
    assert "" == instance_role.find_role(iam, bucket)


def test_a_cluster_of_the_same_name_in_another_region_has_a_role_of_its_own(cloud, bucket):
    """IAM knows no regions: the teardown of one would take the other's tiles away."""
    iam = cloud("iam")
    elsewhere = tiles_bucket.bucket_of(cloud("sts"), "c", "eu-west-1")
    for one in (bucket, elsewhere):
        instance_role.ensure_role(iam, one)
    instance_role.remove_role(iam, elsewhere)

    assert instance_role.find_role(iam, bucket)
    long = tiles_bucket.bucket_of(cloud("sts"), "x" * 99, "eu-west-1")
    assert len(long.name) <= 64


@pytest.mark.parametrize("call", ["attach_role_policy", "add_role_to_instance_profile"])
def test_a_role_that_iam_does_not_know_yet_is_waited_for(cloud, bucket, monkeypatch, call):
    """IAM answers for some seconds as if its own role did not exist."""
    iam = cloud("iam")
    unknown = late(monkeypatch, iam, call, "NoSuchEntity")
    instance_role.ensure_role(iam, bucket)

    assert 2 == unknown.call_count


def test_a_policy_that_no_administrator_has_made_is_named_with_the_command_that_makes_it(cloud):
    bucket = tiles_bucket.bucket_of(cloud("sts"), "c", "us-east-1")
    with pytest.raises(NotFoundError, match="create-policy --policy-name runbook-tiles"):
        instance_role.ensure_role(cloud("iam"), bucket)


def test_an_instance_is_given_the_role_once_and_gives_it_back(cloud, bucket, worker):
    ec2 = cloud("ec2")
    _, role = instance_role.ensure_role(cloud("iam"), bucket)
    given = role_assignment.ensure_assigned(ec2, role, worker)

    assert [f"has the role {role.name}"] == [c.action for c in given]
    assert [] == role_assignment.ensure_assigned(ec2, role, worker)
    assert ["worker-1"] == role_assignment.find_holders(ec2, bucket, [worker])
    assert 1 == len(role_assignment.remove_assignment(ec2, bucket, worker))
    assert [] == role_assignment.remove_assignment(ec2, bucket, worker)
    assert [] == role_assignment.find_holders(ec2, bucket, [worker])


def test_a_profile_that_was_made_again_is_given_again(cloud, bucket, worker):
    """It has the old one's name, and the instance would have no keys."""
    ec2, iam = cloud("ec2"), cloud("iam")
    _, old = instance_role.ensure_role(iam, bucket)
    role_assignment.ensure_assigned(ec2, old, worker)
    instance_role.remove_role(iam, bucket)
    _, new = instance_role.ensure_role(iam, bucket)

    assert (old.name, True) == (new.name, old.profile_id != new.profile_id)
    assert 2 == len(role_assignment.ensure_assigned(ec2, new, worker))
    assert [] == role_assignment.ensure_assigned(ec2, new, worker)


@pytest.mark.parametrize("code", ["InvalidParameterValue", "IncorrectState"])
def test_what_ec2_does_not_know_yet_is_waited_for(cloud, bucket, worker, monkeypatch, code):
    """A profile that is new, or another that is still on its way out."""
    ec2 = cloud("ec2")
    _, role = instance_role.ensure_role(cloud("iam"), bucket)
    unknown = late(monkeypatch, ec2, "associate_iam_instance_profile", code)
    role_assignment.ensure_assigned(ec2, role, worker)

    assert 2 == unknown.call_count


def test_a_role_is_taken_when_it_is_gone_and_not_when_it_goes(cloud, bucket, worker, monkeypatch):
    """Until then the instance still has the keys, and can be given no other role."""
    ec2 = cloud("ec2")
    _, role = instance_role.ensure_role(cloud("iam"), bucket)
    role_assignment.ensure_assigned(ec2, role, worker)
    look = ec2.describe_iam_instance_profile_associations
    held = look()["IamInstanceProfileAssociations"]
    answers = []

    def looked(Filters):  # noqa: N803 - boto3's word
        states = Filters[1]["Values"]
        found = look(Filters=Filters)["IamInstanceProfileAssociations"]
        if not found and "disassociating" in states and not answers:
            found = held
        answers.append(len(found))
        return {"IamInstanceProfileAssociations": found}

    taking = ec2.disassociate_iam_instance_profile

    def take(**given):
        answers.clear()
        return taking(**given)

    monkeypatch.setattr(ec2, "describe_iam_instance_profile_associations", looked)
    monkeypatch.setattr(ec2, "disassociate_iam_instance_profile", take)
    role_assignment.remove_assignment(ec2, bucket, worker)

    assert [1, 0] == answers


def test_a_role_of_others_is_not_taken_away(cloud, bucket, worker):
    ec2, iam = cloud("ec2"), cloud("iam")
    iam.create_instance_profile(InstanceProfileName="theirs")
    ec2.associate_iam_instance_profile(
        IamInstanceProfile={"Name": "theirs"}, InstanceId=worker.instance_id
    )
    _, role = instance_role.ensure_role(iam, bucket)
    with pytest.raises(ConflictError, match="it has theirs"):
        role_assignment.ensure_assigned(ec2, role, worker)
    assert [] == role_assignment.remove_assignment(ec2, bucket, worker)


def test_another_error_is_not_waited_for():
    refused = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "act")
    act = Mock(side_effect=refused)
    with pytest.raises(ClientError):
        aws.once_ready("Something", act, {"NoSuchEntity"})
    assert 1 == act.call_count
