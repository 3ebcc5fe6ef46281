"""
The bucket, against moto; who may do what with them is in the lab's contract test.
"""

import pytest
from moto.s3.models import s3_backends

from runbook_lib.cloud import tiles_bucket
from runbook_lib.cloud.tiles_bucket import Content
from runbook_lib.core.errors import ConflictError


@pytest.fixture
def bucket(cloud):
    return tiles_bucket.bucket_of(cloud("sts"), "Geo_Diff", "us-east-1")


def test_the_name_is_the_same_each_time_and_another_in_another_region(cloud, bucket):
    """Bucket names are DNS labels, and one name space for all of AWS."""
    elsewhere = tiles_bucket.bucket_of(cloud("sts"), "Geo_Diff", "eu-west-1")

    assert bucket == tiles_bucket.bucket_of(cloud("sts"), "Geo_Diff", "us-east-1")
    assert bucket.name.startswith("runbook-tiles-geo-diff-")
    assert bucket.name != elsewhere.name
    assert len(tiles_bucket.bucket_of(cloud("sts"), "x" * 99, "eu-west-1").name) <= 63


def test_the_bucket_is_made_once_and_is_as_it_should_be(cloud, bucket):
    s3 = cloud("s3")
    first = tiles_bucket.ensure_bucket(s3, bucket)

    done = ["made", "tagged", "public access blocked", "encrypted by default"]
    assert done == [c.action for c in first] or done[:3] == [c.action for c in first]
    assert [] == tiles_bucket.ensure_bucket(s3, bucket)
    assert [True] * 4 == list(tiles_bucket.settings_table(s3, bucket)["equal"])


@pytest.mark.parametrize("undo", ["delete_bucket_tagging", "delete_public_access_block"])
def test_settings_that_were_changed_by_hand_are_restored(cloud, bucket, undo):
    s3 = cloud("s3")
    tiles_bucket.ensure_bucket(s3, bucket)
    getattr(s3, undo)(Bucket=bucket.name)

    assert not all(tiles_bucket.settings_table(s3, bucket)["equal"])
    assert 1 == len(tiles_bucket.ensure_bucket(s3, bucket))
    assert all(tiles_bucket.settings_table(s3, bucket)["equal"])


def test_a_bucket_of_that_name_with_something_of_others_in_it_is_left_alone(cloud, bucket):
    """Neither taken over nor deleted: it has no tag of ours."""
    s3 = cloud("s3")
    s3.create_bucket(Bucket=bucket.name)
    s3.put_object(Bucket=bucket.name, Key="theirs", Body=b"x")

    for act in (tiles_bucket.ensure_bucket, tiles_bucket.remove_bucket):
        with pytest.raises(ConflictError, match="runbook:cluster"):
            act(s3, bucket)
    assert 1 == tiles_bucket.content(s3, bucket).objects


def test_one_that_a_killed_run_left_without_a_tag_is_ours(cloud, bucket):
    s3 = cloud("s3")
    s3.create_bucket(Bucket=bucket.name)

    assert "tagged" in [c.action for c in tiles_bucket.ensure_bucket(s3, bucket)]


def test_its_content_is_counted_and_it_goes_with_all_of_it(cloud, bucket):
    """More than a page of a listing; folders count, as each costs a request."""
    s3 = cloud("s3")
    tiles_bucket.ensure_bucket(s3, bucket)
    assert Content(0, 0, 0.0) == tiles_bucket.content(s3, bucket)
    store = s3_backends[bucket.account]["aws"]  # a request for each would take three seconds
    for number in range(1003):
        store.put_object(bucket.name, f"RAW/2004/3/{number}.png", b"12345")

    held = tiles_bucket.content(s3, bucket)
    assert (1003, 4) == (held.objects, held.folders)
    assert "1003 objects" in tiles_bucket.remove_bucket(s3, bucket)[0].action
    assert not tiles_bucket.exists(s3, bucket)
    assert [] == tiles_bucket.remove_bucket(s3, bucket)
    assert Content(0, 0, 0.0) == tiles_bucket.content(s3, bucket)
