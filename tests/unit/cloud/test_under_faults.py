"""
The steps of 01, 02, 92 and 91 against an API that fails: they end well, and nothing is doubled.

The endpoint is the lab's, with the operator's policy; only its machines are not there.
"""

import threading
from collections import Counter
from pathlib import Path

import pytest
from botocore.config import Config

from lab.faults.armed import Fault
from runbook_lib.cloud import (
    aws,
    capacity,
    consistency,
    firewall,
    instances,
    key_pairs,
    launch,
    teardown,
)
from runbook_lib.cloud import security_groups as groups
from runbook_lib.core.errors import (
    CapacityError,
    NotFoundError,
    ParameterError,
    RunbookError,
    UnavailableError,
)
from runbook_lib.hosts import host_keys

CLUSTER = "geo-diff"  # the only one that the operator's policy allows
WANTED = instances.wanted_instances(1, 30, 8)
ROLES = ["manager", "worker-1", "admin-web"]
RULES = firewall.wanted_rules("192.0.2.1/32")


@pytest.fixture
def key_file(tmp_path):
    return str(tmp_path / "key.pem")


def build(lab, key_file, zone=""):
    """What 01 and 02 do, in their order; returns the changes."""
    ec2, ssm = lab.client("ec2"), lab.client("ssm")
    image_id, root_device = instances.get_image(ec2, ssm, "24.04")
    changes = list(key_pairs.ensure_key_pair(ec2, CLUSTER, key_file))
    changes += launch.ensure_instances(
        ec2,
        CLUSTER,
        WANTED,
        instance_type="t2.micro",
        image_id=image_id,
        root_device=root_device,
        key_name=CLUSTER,
        zone=zone,
    )
    running = launch.wait_for_instances(ec2, CLUSTER, WANTED)
    changes += host_keys.ensure_host_keys(ec2, running, key_file)
    changes += groups.ensure_groups(ec2, CLUSTER, groups.get_default_vpc(ec2))
    changes += groups.ensure_rules(ec2, CLUSTER, RULES)
    changes += groups.ensure_membership(ec2, CLUSTER, running)
    return changes


def remove(lab, key_file):
    """What 92 and 91 do; returns what is left."""
    ec2 = lab.client("ec2")
    teardown.remove_groups(ec2, CLUSTER)
    teardown.remove_instances(ec2, CLUSTER)
    teardown.remove_key_pair(ec2, CLUSTER, key_file)
    return teardown.wait_for_no_leftovers(ec2, CLUSTER)


def truth(lab):
    """What the account has of the CLUSTER, asked past every fault."""
    ec2 = lab.administrator("ec2")
    found = instances.find_instances(ec2, CLUSTER)
    names = [group.name for group in groups.find_groups(ec2, CLUSTER)]
    rules = sorted(map(str, groups.find_rules(ec2, CLUSTER)))
    return [i.role for i in found], names, rules


COMPLETE = (ROLES, ["worker", "manager", "web", "backup"], sorted(map(str, RULES)))

FAULTS = {
    "throttle": Fault("throttle", count=15, share=0.2),
    "error": Fault("error", count=20, share=0.15),
    "lost": Fault("lost", count=20, share=0.15),
    "slow": Fault("slow", count=5, share=0.2, seconds=0.5),
    "not-found": Fault("not-found", count=40),
    "capacity": Fault("capacity", count=1),
}


def survive(lab, kind, seed, key_file):
    """Build twice and remove under a fault; returns how often it struck."""
    lab.client.cache_clear()  # as a run's: the retries of a client are limited over all its calls
    armed = lab.faults.arm(Fault(**vars(FAULTS[kind]) | {"seed": seed}))
    made = Counter((c.what, c.name, c.action.split()[0]) for c in build(lab, key_file))
    again = build(lab, key_file)
    assert COMPLETE == truth(lab)
    assert [] == again
    assert {1} == set(made.values())
    assert [] == remove(lab, key_file)
    assert ([], [], []) == truth(lab)
    lab.faults.disarm()
    return len(lab.faults.strikes().get(armed.number, []))


@pytest.mark.parametrize("kind", ["lost", "not-found"])
def test_a_cluster_is_built_once_and_removed_whatever_the_api_does(lab, kind, key_file):
    assert survive(lab, kind, 1, key_file) > 0


@pytest.mark.faults
@pytest.mark.parametrize("kind", FAULTS)
def test_other_seeds_fail_at_other_calls_and_end_as_well(lab, kind, tmp_path):
    strikes = [survive(lab, kind, seed, str(tmp_path / f"{seed}.pem")) for seed in range(1, 4)]
    print(f"\n{kind:<10} {len(strikes)} runs ended well, struck {sum(strikes)} times {strikes}")
    assert sum(strikes) > 0


def test_what_is_never_found_again_is_named_after_a_limit(lab, key_file, monkeypatch):
    """Somebody else has removed it: not a raw error, and not for ever."""
    ec2 = lab.place.client("ec2")  # its own, for the handler below
    groups.ensure_groups(ec2, CLUSTER, groups.get_default_vpc(ec2))
    held = {g.name: g.group_id for g in groups.find_groups(ec2, CLUSTER)}
    lab.administrator("ec2").delete_security_group(GroupId=held["backup"])
    asked = []

    def ask(**_):
        asked.append(1)
        if len(asked) > 3:
            monkeypatch.setattr(consistency.KNOWN["us-east-1"], "limit_s", 0)

    ec2.meta.events.register("before-send.ec2.AuthorizeSecurityGroupIngress", ask)
    with pytest.raises(NotFoundError, match=rf"find {held['backup']}(?s:.)*next: run this"):
        ec2.authorize_security_group_ingress(GroupId=held["backup"], IpPermissions=[])
    teardown.remove_groups(ec2, CLUSTER)


def test_what_was_never_there_is_not_waited_for(lab):
    """An id that no answer had: the error comes at once."""
    ec2 = lab.client("ec2")
    with pytest.raises(ec2.exceptions.ClientError, match="NotFound"):
        ec2.describe_instance_status(InstanceIds=["i-0123456789abcdef0"])


def test_a_zone_without_capacity_is_an_error_that_offers_others(lab, key_file):
    """What was launched stays, and another zone takes the rest."""
    lab.faults.arm(Fault("capacity", count=1000, only=("us-east-1a",)))
    with pytest.raises(CapacityError) as caught:
        build(lab, key_file, zone="us-east-1a")
    text = str(caught.value)
    assert "expected EC2 to launch t2.micro for admin-web, manager, worker-1" in text
    assert "us-east-1a has no room" in text
    assert "InsufficientInstanceCapacity: We currently" in text
    assert "-p zone=us-east-1b" in text
    assert "-p instance_type=t3.micro" in text

    build(lab, key_file, zone="us-east-1b")
    assert COMPLETE == truth(lab)
    assert [] == remove(lab, key_file)


@pytest.mark.parametrize("zone", ["us-east-1z", "eu-west-1a"])
def test_a_zone_that_does_not_exist_is_told_with_those_that_do(lab, zone):
    """Before anything is made: 01 and 30 ask first."""
    ec2 = lab.client("ec2")
    capacity.check_zone(ec2, "t2.micro", "us-east-1b")
    capacity.check_zone(ec2, "t2.micro", "")
    with pytest.raises(ParameterError, match=rf"'{zone}'(?s:.)*us-east-1a, us-east-1b(?s:.)*next"):
        capacity.check_zone(ec2, "t2.micro", zone)


@pytest.fixture
def impatient(lab, monkeypatch):
    """A client that asks twice, not six times."""
    twice = Config(retries={"mode": "standard", "total_max_attempts": 2})
    monkeypatch.setattr(aws, "_CONFIG", aws._CONFIG.merge(twice))
    return lab.place.client


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("error", "50[03] (InternalError|Unavailable): An internal"),
        ("throttle", "503 RequestLimitExceeded: Request limit"),
        ("lost", "Connection was closed before"),
    ],
)
def test_a_call_that_fails_each_time_is_told_in_words(lab, impatient, kind, told):
    """What was asked, how often, and what to do: not botocore's error."""
    lab.faults.arm(Fault(kind, count=1000, only=("DescribeVpcs",)))
    asked = rf"expected {lab.place.endpoint_url} to answer DescribeVpcs; asked 2 times, it did not"
    with pytest.raises(
        UnavailableError, match=rf"{asked}\n  {told}(?s:.)*\n  next: run this again"
    ):
        groups.get_default_vpc(impatient("ec2"))


def test_an_endpoint_that_is_not_there_is_told_in_words(lab, impatient):
    place = aws.Place("us-east-1", "http://127.0.0.1:9", lab.place.credentials_file)
    with pytest.raises(UnavailableError, match=r"to answer GetCallerIdentity(?s:.)*next: "):
        aws.whoami(place.client("sts"))


def test_ended_credentials_are_told_in_words_and_the_next_run_ends_well(lab, key_file):
    lab.faults.arm(Fault("expired", count=1000, only=("RunInstances",)))
    with pytest.raises(RunbookError, match=r"RequestExpired(?s:.)*next: "):
        build(lab, key_file)
    lab.faults.disarm()
    build(lab, key_file)
    assert COMPLETE == truth(lab)
    assert [] == remove(lab, key_file)


def test_a_quota_that_is_reached_is_told_with_the_way_to_a_larger_one(lab, key_file):
    lab.faults.arm(Fault("vcpu-limit", count=2))
    with pytest.raises(CapacityError) as caught:
        build(lab, key_file)
    text = str(caught.value)
    assert "the account's quota in us-east-1 is reached" in text
    assert "VcpuLimitExceeded" in text
    assert "--quota-code L-1216C47A" in text
    assert "instance_type" not in text  # one of three runs: the others must be like it

    build(lab, key_file)
    assert COMPLETE == truth(lab)
    assert [] == remove(lab, key_file)


def at_once(*works):
    """Run them side by side; returns their errors."""
    errors, barrier = [], threading.Barrier(len(works))

    def run(work):
        barrier.wait()
        try:
            work()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return errors


def test_two_operators_with_one_key_build_one_cluster(lab, key_file):
    """From two clones, without a lock: nothing is made twice."""
    errors = at_once(*[lambda: build(lab, key_file)] * 2)
    assert [] == errors
    assert COMPLETE == truth(lab)
    errors = at_once(*[lambda: remove(lab, key_file)] * 2)
    assert [] == errors
    assert ([], [], []) == truth(lab)


def test_two_operators_with_two_keys_one_is_told_whose_key_it_is(lab, tmp_path):
    """And its key file, which opens nothing, is gone: the other's can take its place."""
    keys = [str(tmp_path / name / "key.pem") for name in ("one", "two")]
    ec2 = lab.client("ec2")
    errors = at_once(*[lambda k=k: key_pairs.ensure_key_pair(ec2, CLUSTER, k) for k in keys])
    assert len(errors) <= 1
    for error in errors:
        assert "next: " in str(error)
    assert 1 == sum(Path(k).exists() for k in keys)
    ec2.delete_key_pair(KeyName=CLUSTER)
