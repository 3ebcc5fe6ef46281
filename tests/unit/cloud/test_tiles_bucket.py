"""
The bucket, against moto; who may do what with them is in the lab's contract test.
"""

import json

import pytest
from moto.s3.models import s3_backends

from lab.iam.policy import Verdict, evaluate, glob, statements_of
from runbook_lib.cloud import bucket_policy, tiles_bucket
from runbook_lib.cloud.tiles_bucket import Content
from runbook_lib.core.errors import ConflictError, NotFoundError
from tests.places import ROOT

POLICY = json.loads((ROOT / "params/iam-policy.json").read_text())
ROLE = "arn:aws:iam::123456789012:role/runbook-tiles-geo-diff-x"


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


def test_the_role_may_use_this_bucket_and_no_other(cloud, bucket):
    s3 = cloud("s3")
    tiles_bucket.ensure_bucket(s3, bucket)
    bucket_policy.ensure_access(s3, bucket, ROLE)
    assert [] == bucket_policy.ensure_access(s3, bucket, ROLE)
    statements = statements_of(bucket_policy.read_policy(s3, bucket))

    def may(action, resource, **context):
        return evaluate(statements, action, resource, context) is Verdict.ALLOWED

    assert may("s3:ListBucket", bucket.arn)
    assert may("s3:PutObject", f"{bucket.arn}/RAW/a.png")
    assert not may("s3:PutBucketPolicy", bucket.arn)
    assert not may("s3:GetObject", "arn:aws:s3:::another/RAW/a.png")
    in_the_clear = {"aws:SecureTransport": "false"}
    assert not may("s3:GetObject", f"{bucket.arn}/RAW/a.png", **in_the_clear)


@pytest.mark.parametrize("role", ["", None])
def test_a_bucket_without_a_role_is_not_opened(cloud, bucket, role):
    s3 = cloud("s3")
    tiles_bucket.ensure_bucket(s3, bucket)
    with pytest.raises(NotFoundError, match="there is none"):
        bucket_policy.ensure_access(s3, bucket, role)
    assert bucket_policy.read_policy(s3, bucket) is None


def test_a_policy_in_another_order_is_the_same_one(bucket, monkeypatch):
    """AWS gives lists back as it likes; a second run must be able to say no changes."""
    wanted = bucket_policy.access_policy(bucket, ROLE)
    given = json.loads(json.dumps(wanted))
    given["Statement"][0]["Action"] = [given["Statement"][0]["Action"]]
    for statement in given["Statement"][1:]:
        for name in ("Action", "Resource"):
            if isinstance(statement[name], list):
                statement[name].reverse()

    assert given != wanted
    monkeypatch.setattr(bucket_policy, "read_policy", lambda *_: given)
    assert [] == bucket_policy.ensure_access(None, bucket, ROLE)
    given["Statement"][1]["Action"].pop()
    assert not bucket_policy.same_policy(given, wanted)
    assert not bucket_policy.same_policy(None, wanted)


def test_the_operators_policy_covers_these_names_and_gives_no_role_a_right(bucket):
    """Whoever may write a role's policy may do everything."""
    allowed = [s for s in POLICY["Statement"] if s["Effect"] == "Allow"]
    actions = [
        a for s in allowed for a in ([s["Action"]] if isinstance(s["Action"], str) else s["Action"])
    ]
    resources = [
        r
        for s in allowed
        for r in ([s["Resource"]] if isinstance(s["Resource"], str) else s["Resource"])
    ]

    role = bucket.name
    for kind in ("role", "instance-profile"):
        assert any(glob(r, f"arn:aws:iam::{bucket.account}:{kind}/{role}") for r in resources)
    assert not {"iam:PutRolePolicy", "iam:AttachRolePolicy", "s3:GetObject"} & set(actions)
    assert [] == [a for a in actions if "*" in a]
    assert any(glob(r, f"{bucket.arn}/RAW/a.png") for r in resources if r.startswith("arn:aws:s3"))
    assert not any(glob(r, "arn:aws:s3:::another") for r in resources if r.startswith("arn:aws:s3"))
