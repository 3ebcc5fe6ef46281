"""
When a cluster ends: everything is tagged, renewed seldom, and read back as exactly that.
"""

from datetime import UTC, datetime, timedelta

import pytest

from runbook_lib.cloud.expiry import Resource, end_of, ensure_expiry, find_resources
from runbook_lib.cloud.key_pairs import ensure_key_pair
from runbook_lib.cloud.security_groups import ensure_groups, get_default_vpc
from runbook_lib.cloud.tags import EXPIRES_TAG, expires_in, expiry_of, tag_list, tag_specifications

SOON, LATE = (datetime(2026, 3, day, tzinfo=UTC) for day in (1, 2))


@pytest.fixture
def made(ec2, tmp_path):
    """A cluster as 01 and 02 make it, and another beside it."""
    for cluster in ("geo-diff", "other"):
        ec2.run_instances(
            ImageId="ami-12c6146b",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=tag_specifications(
                tag_list(cluster, "manager"), "instance", "volume"
            ),
        )
        ensure_key_pair(ec2, cluster, str(tmp_path / f"{cluster}.pem"))
        ensure_groups(ec2, cluster, get_default_vpc(ec2))
    return ec2


def ends(ec2, cluster="geo-diff"):
    return {one.expires for one in find_resources(ec2) if one.cluster == cluster}


def test_everything_that_is_made_says_when_it_ends(made):
    kinds = [one.kind for one in find_resources(made) if one.cluster == "geo-diff"]

    assert ["instance", "volume", *["security group"] * 4, "key pair"] == kinds
    assert None not in ends(made)
    in_three_days = datetime.now(UTC) + timedelta(hours=72)
    assert all(abs(in_three_days - end) < timedelta(minutes=5) for end in ends(made))


def test_it_is_renewed_once_and_a_second_run_changes_nothing(made):
    """Longer, then as it was, then shorter; another cluster keeps its own."""
    others = ends(made, "other")
    for hours in (500, 72, 2):
        assert 1 == len(ensure_expiry(made, "geo-diff", hours))
        assert [] == ensure_expiry(made, "geo-diff", hours)
        (end,) = ends(made)
        assert abs(datetime.now(UTC) + timedelta(hours=hours) - end) < timedelta(minutes=5)
    assert others == ends(made, "other")


def test_less_than_half_of_the_time_is_renewed_and_more_is_not(made):
    for left_h, changes in ((30, 1), (40, 0)):
        names = [one.name for one in find_resources(made) if one.cluster == "geo-diff"]
        made.create_tags(Resources=names, Tags=[{"Key": EXPIRES_TAG, "Value": expires_in(left_h)}])
        assert changes == len(ensure_expiry(made, "geo-diff", 72))


@pytest.mark.parametrize("text", ["", "never", "2026-03-01", "2026-03-01T12:00:00", "9" * 300, "*"])
def test_what_is_no_time_is_no_end(text):
    assert expiry_of({EXPIRES_TAG: text}) is None
    assert expiry_of({}) is None


def test_a_time_is_read_back_as_it_was_written():
    assert abs(expiry_of({EXPIRES_TAG: expires_in(1)}) - datetime.now(UTC)) < timedelta(hours=2)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ([("instance", SOON), ("instance", LATE), ("key pair", None)], LATE),
        ([("instance", SOON), ("security group", LATE)], SOON),
        ([("instance", SOON), ("instance", None)], None),
        ([("security group", SOON), ("key pair", LATE)], LATE),
        ([("volume", None)], None),
        ([], None),
    ],
)
def test_a_cluster_ends_with_the_last_of_its_instances(resources, expected):
    """What does not say when it ends is never past it."""
    assert expected == end_of(Resource(kind, "x", "c", end) for kind, end in resources)
