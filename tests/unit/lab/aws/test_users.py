"""
The users of a lab are what its latest `up` says.
"""

from lab.aws.users import ensure_users
from lab.core.config import LabConfig
from tests.fakes.aws import account


def test_a_tag_that_is_no_longer_given_is_gone(tmp_path, monkeypatch):
    """A policy that reads it would go on granting."""
    monkeypatch.setenv("HOME", str(tmp_path))
    with account() as client:
        for tags in (("team=tiles", "old=yes"), ("team=map",)):
            config = LabConfig(operator_tags=tags)
            config.save()
            ensure_users(config)
        found = client("iam").list_user_tags(UserName="operator")["Tags"]

    assert [{"Key": "team", "Value": "map"}] == found
