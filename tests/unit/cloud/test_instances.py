"""
Instances: launched where missing, adopted by tag, never doubled, never taken from others.
"""

import pytest

from runbook_lib.cloud.instances import find_instances, get_instances, has_backup, wanted_instances
from runbook_lib.cloud.launch import ensure_instances
from runbook_lib.cloud.teardown import find_leftovers, remove_instances
from runbook_lib.core.errors import ConflictError, NotFoundError

WANTED = wanted_instances(2, 30, 8)
ROLES = ["manager", "worker-1", "worker-2", "admin-web"]


@pytest.fixture(autouse=True)
def key_pair(ec2):
    """The key pair of the cluster."""
    ec2.create_key_pair(KeyName="geo-diff")


def launch(ec2, wanted=WANTED, **settings):
    request = {
        "instance_type": "t2.micro",
        "image_id": "ami-12c6146b",
        "root_device": "/dev/sda1",
        "key_name": "geo-diff",
    }
    return ensure_instances(ec2, "geo-diff", wanted, **(request | settings))


def test_every_role_is_launched_once_and_found_in_order(ec2):
    changes = launch(ec2)

    assert sorted(ROLES) == sorted(c.name for c in changes)
    assert ROLES == [i.role for i in find_instances(ec2, "geo-diff")]


def test_a_second_run_launches_nothing(ec2):
    launch(ec2)

    assert [] == launch(ec2)


def test_a_key_pair_that_somebody_has_deleted_is_named_before_a_launch(ec2):
    ec2.delete_key_pair(KeyName="geo-diff")
    with pytest.raises(NotFoundError, match=r"key pair 'geo-diff'(?s:.)*01_instances"):
        launch(ec2)
    assert [] == find_instances(ec2, "geo-diff")


def test_only_what_is_missing_is_launched(ec2):
    launch(ec2)
    gone = get_instances(ec2, "geo-diff")["worker-2"]
    ec2.terminate_instances(InstanceIds=[gone.instance_id])

    assert ["worker-2"] == [c.name for c in launch(ec2)]


def test_what_is_stopped_is_started(ec2):
    launch(ec2)
    stopped = get_instances(ec2, "geo-diff")["worker-1"]
    ec2.stop_instances(InstanceIds=[stopped.instance_id])

    assert [("worker-1", "started")] == [(c.name, c.action) for c in launch(ec2)]


def test_an_instance_of_another_type_is_named_before_anything_is_launched(ec2):
    launch(ec2, WANTED[:1])

    with pytest.raises(ConflictError, match=r"\(manager\) is a t2.micro"):
        launch(ec2, instance_type="t3.small")
    assert 1 == len(find_instances(ec2, "geo-diff"))


def test_fewer_wanted_roles_never_terminate_anything(ec2):
    launch(ec2)

    with pytest.raises(ConflictError, match="role 'worker-2'"):
        launch(ec2, wanted_instances(1, 30, 8))


def test_disks_are_encrypted_and_as_large_as_asked(ec2):
    launch(ec2)
    volumes = ec2.describe_volumes()["Volumes"]

    assert [8, 8, 8, 30] == sorted(v["Size"] for v in volumes)
    assert {True} == {v["Encrypted"] for v in volumes}


def test_a_stopped_instance_is_not_offered_to_later_steps(ec2):
    launch(ec2)
    ec2.stop_instances(InstanceIds=[get_instances(ec2, "geo-diff")["manager"].instance_id])

    with pytest.raises(NotFoundError, match="manager is stopped"):
        get_instances(ec2, "geo-diff")


def test_removing_leaves_the_instances_of_others(ec2):
    launch(ec2)
    ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)

    assert len(ROLES) == len(remove_instances(ec2, "geo-diff"))
    assert [] == find_leftovers(ec2, "geo-diff")
    states = [
        i["State"]["Name"] for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]
    ]
    assert 1 == states.count("running")


def test_the_seventh_is_wanted_where_it_exists_and_goes_alone(ec2):
    """It is like the manager; without it, the six are as they were."""
    wanted = wanted_instances(2, 30, 8, backup=True)
    launch(ec2, wanted)
    assert [w.role for w in wanted] == [i.role for i in find_instances(ec2, "geo-diff")]
    again = launch(ec2, wanted_instances(2, 30, 8, backup=has_backup(ec2, "geo-diff")))
    removed = remove_instances(ec2, "geo-diff", role="manager-backup")

    assert [] == again
    assert ["manager-backup"] == [c.name for c in removed]
    assert ROLES == [i.role for i in find_instances(ec2, "geo-diff")]
    assert not has_backup(ec2, "geo-diff")
    assert [] == remove_instances(ec2, "geo-diff", role="manager-backup")
