"""
The lock on a cluster: one holder, seen by all, ended by its time, taken over on request.

Against the lab's endpoint with the operator's policy: it allows what the lock needs.
"""

import re
import threading
import time
from datetime import timedelta

import pytest

from runbook_lib.cloud import expiry, holding, lock, security_groups, teardown
from runbook_lib.core.errors import CapacityError, ConflictError, UnavailableError

CLUSTER = "geo-diff"


@pytest.fixture(autouse=True)
def quick(monkeypatch, lab):
    """Renewed every half second; and no lock is left for the next test."""
    monkeypatch.setattr(holding, "RENEW_S", 0.5)
    yield
    ec2 = lab.client("ec2")
    if left := lock.find_lock(ec2, CLUSTER):
        lock.remove_lock(ec2, CLUSTER, left)


def hold(lab, stop=lambda _: True, **options):
    return holding.held(lab.place, CLUSTER, stop, **options)


def of_another_machine(monkeypatch):
    """What this process is to a lock that it takes."""
    monkeypatch.setattr(lock, "machine_id", lambda: "elsewhere")
    monkeypatch.setattr(lock, "holder_name", lambda: "alice@laptop pid 7")


def test_a_second_operator_is_refused_in_words(lab, monkeypatch):
    """Who holds it, since when, until when, and what to do."""
    with hold(lab) as first, pytest.raises(ConflictError) as caught, hold(lab):
        pytest.fail("two hold it")
    text = str(caught.value)
    assert first.holder in text
    assert f"since {first.since}" in text
    assert re.search(
        r"until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, in \d+ s, unless it is renewed", text
    )
    assert "--take-over" in text


def test_it_is_gone_after_the_run_and_no_group_or_leftover_meanwhile(lab):
    ec2 = lab.administrator("ec2")
    with hold(lab):
        assert [] == security_groups.find_groups(ec2, CLUSTER)
        assert [] == teardown.find_leftovers(ec2, CLUSTER)
        assert [] == teardown.remove_groups(ec2, CLUSTER)
        assert [] == expiry.ensure_expiry(ec2, CLUSTER, 24)
        assert lock.find_lock(ec2, CLUSTER) is not None
    assert lock.find_lock(ec2, CLUSTER) is None


def test_of_many_who_try_at_once_one_gets_it(lab):
    got, refused, ready = [], [], threading.Barrier(4)
    everybody_tried = threading.Event()

    def operator():
        ready.wait()
        try:
            with hold(lab) as mine:
                got.append(mine)
                everybody_tried.wait(60)
        except ConflictError as error:
            refused.append(error)
            if len(refused) == 3:
                everybody_tried.set()

    threads = [threading.Thread(target=operator) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (1, 3) == (len(got), len(refused))


def test_it_is_renewed_while_it_is_held(lab, monkeypatch):
    ec2 = lab.administrator("ec2")
    with hold(lab) as mine:
        deadline = time.monotonic() + 60
        while lock.find_lock(ec2, CLUSTER).until <= mine.until:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_an_expired_one_is_taken(lab, monkeypatch):
    """Its holder was killed, on a machine that we know nothing of."""
    monkeypatch.setattr(lock, "LIFETIME_S", -5.0)
    with monkeypatch.context() as there:
        of_another_machine(there)
        left = lock.take_lock(lab.client("ec2"), CLUSTER)
    monkeypatch.setattr(lock, "LIFETIME_S", 300.0)
    with hold(lab) as mine:
        assert mine.group_id != left.group_id


def test_an_expired_one_goes_with_the_groups(lab, monkeypatch):
    """Nothing of a cluster stays after its teardown, or after a sweep."""
    monkeypatch.setattr(lock, "LIFETIME_S", -5.0)
    lock.take_lock(lab.client("ec2"), CLUSTER)
    assert ["lock"] == [c.what for c in teardown.remove_groups(lab.client("ec2"), CLUSTER)]


def test_that_of_a_killed_run_of_this_machine_is_taken_at_once(lab, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(lock.os, "getpid", lambda: 2**22 + 1)
        lock.take_lock(lab.client("ec2"), CLUSTER)
    with hold(lab):
        pass


@pytest.mark.parametrize("gap_s", [0, 1])
def test_who_is_taken_over_is_told_and_stopped(lab, monkeypatch, gap_s):
    """Its release then leaves the new holder's lock alone."""
    reasons = []

    def stop(reason):
        reasons.append(reason)
        return len(reasons) == 2  # between two notebooks there is nothing to stop yet

    ec2 = lab.administrator("ec2")
    with hold(lab, stop) as mine:
        with monkeypatch.context() as there:
            of_another_machine(there)
            lock.remove_lock(lab.client("ec2"), CLUSTER, mine)
            time.sleep(gap_s)  # a take-over removes the lock first; its holder may look just then
            theirs = lock.take_lock(lab.client("ec2"), CLUSTER)
        deadline = time.monotonic() + 20
        while len(reasons) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
    assert ["the lock of geo-diff is lost: alice@laptop pid 7 has taken it over"] * 2 == reasons
    assert theirs.group_id == lock.find_lock(ec2, CLUSTER).group_id


def test_a_clock_that_is_ahead_of_awss_loses_no_lock_by_one_failure(lab, monkeypatch):
    """AWS fails once; by this machine's clock, what AWS calls the end has passed long ago."""
    reasons, asked = [], []

    def behind(ec2, cluster):
        asked.append(cluster)
        if len(asked) == 2:
            raise UnavailableError("AWS failed")
        now, seen = lock.read_lock(ec2, cluster)
        return now - timedelta(hours=1), seen

    with hold(lab, reasons.append):
        monkeypatch.setattr(holding, "read_lock", behind)
        deadline = time.monotonic() + 20
        while len(asked) < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
    assert len(asked) >= 3
    assert [] == reasons


class Full:
    """What EC2 answers once a VPC has all the groups that it may have."""

    status_code, headers = 400, {}
    content = (
        b"<Response><Errors><Error><Code>SecurityGroupLimitExceeded</Code><Message>The maximum "
        b"number of security groups has been reached.</Message></Error></Errors></Response>"
    )


def test_no_room_for_the_group_is_told_in_words(lab):
    ec2 = lab.place.client("ec2")
    ec2.meta.events.register("before-send.ec2.CreateSecurityGroup", lambda **_: Full())
    with pytest.raises(CapacityError, match=r"geo-diff-lock(?s:.)*LimitExceeded(?s:.)*next: make"):
        lock.take_lock(ec2, CLUSTER)
