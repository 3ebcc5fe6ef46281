"""
The principals of a bucket's policy, and the role or profile that an IAM request is about.
"""

import json
from types import SimpleNamespace

import pytest

from lab.aws.role_keys import RoleKeys
from lab.iam.bucket_policy import bucket_statements
from lab.iam.iam_permissions import associated_instance, iam_permissions, pass_role_permissions
from tests.fakes.aws import account

ACCOUNT = "arn:aws:iam::123456789012"


@pytest.fixture
def cloud():
    """A role with its profile, and a bucket that names it."""
    with account() as client:
        iam = client("iam")
        iam.create_role(RoleName="reader", Path="/team/", AssumeRolePolicyDocument="{}")
        iam.create_instance_profile(InstanceProfileName="reader", Path="/team/")
        iam.add_role_to_instance_profile(InstanceProfileName="reader", RoleName="reader")
        s3 = client("s3")
        s3.create_bucket(Bucket="mine")
        statements = [
            {"Sid": "role", "Principal": {"AWS": f"{ACCOUNT}:role/team/reader"}},
            {"Sid": "users", "Principal": {"AWS": [f"{ACCOUNT}:user/a", f"{ACCOUNT}:user/b"]}},
            {"Sid": "all", "Principal": "*"},
        ]
        document = [s | {"Effect": "Allow", "Action": "s3:*", "Resource": "*"} for s in statements]
        s3.put_bucket_policy(Bucket="mine", Policy=json.dumps({"Statement": document}))
        yield iam


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        ("arn:aws:sts::123456789012:assumed-role/reader/i-1", ["role", "all"]),
        (f"{ACCOUNT}:user/b", ["users", "all"]),
        (f"{ACCOUNT}:user/c", ["all"]),
        ("anonymous", ["all"]),
    ],
)
def test_a_statement_is_about_the_principals_that_it_names(cloud, caller, expected):
    """A session is its role, whose path the session's ARN does not tell."""
    found = bucket_statements(caller, "arn:aws:s3:::mine/a/b.png")

    assert expected == [statement["Sid"] for statement in found]


@pytest.mark.parametrize("resource", ["arn:aws:s3:::another/a", "*"])
def test_a_bucket_without_a_policy_says_nothing(cloud, resource):
    assert [] == bucket_statements("anonymous", resource)


@pytest.mark.parametrize(
    ("action", "form", "expected"),
    [
        ("GetRole", {"RoleName": "reader"}, f"{ACCOUNT}:role/team/reader"),
        ("GetRole", {"RoleName": "nobody"}, f"{ACCOUNT}:role/nobody"),
        ("CreateRole", {"RoleName": "new", "Path": "/x/"}, f"{ACCOUNT}:role/x/new"),
        (
            "AddRoleToInstanceProfile",
            {"InstanceProfileName": "reader", "RoleName": "reader"},
            f"{ACCOUNT}:instance-profile/team/reader",
        ),
        ("ListRoles", {}, "*"),
    ],
)
def test_a_request_is_about_the_role_or_the_profile_that_it_names(cloud, action, form, expected):
    """The path of what exists is known; what does not is taken to have the one that is given."""
    needed = iam_permissions(action, form, {})[0]

    assert (f"iam:{action}", expected) == (needed.action, needed.resource)


def test_to_tag_what_is_made_and_to_put_a_role_into_a_profile_need_a_right_more(cloud):
    tagged = {"RoleName": "new", "Tags.member.1.Key": "team", "Tags.member.1.Value": "tiles"}
    made = iam_permissions("CreateRole", tagged, {})
    put = iam_permissions(
        "AddRoleToInstanceProfile", {"InstanceProfileName": "reader", "RoleName": "reader"}, {}
    )

    assert ["iam:CreateRole", "iam:TagRole"] == [needed.action for needed in made]
    assert {"tiles"} == {needed.context["aws:RequestTag/team"] for needed in made}
    assert ("iam:PassRole", f"{ACCOUNT}:role/team/reader") == (put[1].action, put[1].resource)


def test_giving_a_profile_passes_its_role(cloud):
    (needed,) = pass_role_permissions("reader")

    assert ("iam:PassRole", f"{ACCOUNT}:role/team/reader") == (needed.action, needed.resource)
    assert {"iam:PassedToService": "ec2.amazonaws.com"} == needed.context
    assert [] == pass_role_permissions("")


def test_an_association_is_of_an_instance():
    held = {"i-1": SimpleNamespace(association_id="a-1")}
    backend = SimpleNamespace(iam_instance_profile_associations=held)

    assert {"InstanceId": "i-1"} == associated_instance(backend, "a-1")
    assert {} == associated_instance(backend, "")


def test_an_instance_reads_keys_that_stay_the_same_until_they_end_soon(cloud):
    """They are those of a session of the role, for this instance alone."""
    profile = SimpleNamespace(
        arn="p", id="p", roles=[SimpleNamespace(name="reader", arn=f"{ACCOUNT}:role/team/reader")]
    )
    held = {"i-1": SimpleNamespace(iam_instance_profile=profile)}
    backend = SimpleNamespace(iam_instance_profile_associations=held)
    one, other = (
        SimpleNamespace(id=name, ec2_backend=backend, region_name="us-east-1")
        for name in ("i-1", "i-2")
    )
    keys = RoleKeys()
    path = "meta-data/iam/security-credentials/reader"
    first = json.loads(keys.metadata_of(one)[path])

    assert first["AccessKeyId"] == json.loads(keys.metadata_of(one)[path])["AccessKeyId"]
    assert {} == keys.metadata_of(other)
    keys._sessions["i-1", f"{ACCOUNT}:role/team/reader"].expiration = keys._sessions[
        "i-1", f"{ACCOUNT}:role/team/reader"
    ].expiration.replace(year=2000)
    assert first["AccessKeyId"] != json.loads(keys.metadata_of(one)[path])["AccessKeyId"]
