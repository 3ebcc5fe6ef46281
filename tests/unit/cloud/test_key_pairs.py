"""
The key pair: made once, kept safe, and never mistaken for another's.
"""

import pytest

from runbook_lib.cloud.key_pairs import ensure_key_pair, key_path, known_hosts_path
from runbook_lib.cloud.teardown import remove_key_pair
from runbook_lib.core.errors import AccessError, ConflictError, NotFoundError


@pytest.fixture
def key_file(tmp_path):
    """Where the private key is to be."""
    return str(tmp_path / "keys" / "geo-diff.pem")


def test_the_first_run_makes_the_file_and_imports_its_public_half(ec2, key_file):
    changes = ensure_key_pair(ec2, "geo-diff", key_file)

    assert ["made", "imported"] == [c.action for c in changes]
    assert 0o600 == key_path(key_file).stat().st_mode & 0o777


def test_the_second_run_changes_nothing(ec2, key_file):
    ensure_key_pair(ec2, "geo-diff", key_file)

    assert [] == ensure_key_pair(ec2, "geo-diff", key_file)


def test_a_run_killed_before_the_import_goes_on_with_its_file(ec2, key_file):
    ensure_key_pair(ec2, "geo-diff", key_file)
    ec2.delete_key_pair(KeyName="geo-diff")

    assert ["imported"] == [c.action for c in ensure_key_pair(ec2, "geo-diff", key_file)]


def test_a_lost_private_key_is_an_error_that_says_where_it_was_looked_for(ec2, key_file):
    ensure_key_pair(ec2, "geo-diff", key_file)
    key_path(key_file).unlink()

    with pytest.raises(NotFoundError, match=r"geo-diff\.pem.*(?s:.)*next: put the file back"):
        ensure_key_pair(ec2, "geo-diff", key_file)


def test_a_key_that_others_can_read_is_refused(ec2, key_file):
    ensure_key_pair(ec2, "geo-diff", key_file)
    key_path(key_file).chmod(0o644)

    with pytest.raises(AccessError, match="chmod 600"):
        ensure_key_pair(ec2, "geo-diff", key_file)


def test_a_pair_that_somebody_else_made_is_left_alone(ec2, key_file):
    ec2.create_key_pair(KeyName="geo-diff")

    with pytest.raises(ConflictError, match="did not make it"):
        ensure_key_pair(ec2, "geo-diff", key_file)


def test_a_file_of_another_pair_is_refused(ec2, key_file, tmp_path):
    ensure_key_pair(ec2, "geo-diff", key_file)
    ensure_key_pair(ec2, "other", str(tmp_path / "other.pem"))

    with pytest.raises(ConflictError, match="is not the one in"):
        ensure_key_pair(ec2, "geo-diff", str(tmp_path / "other.pem"))


def test_a_key_that_its_owner_brought_survives_the_teardown(ec2, key_file):
    ensure_key_pair(ec2, "geo-diff", key_file)
    remove_key_pair(ec2, "other", key_file)
    ec2.delete_key_pair(KeyName="geo-diff")
    ensure_key_pair(ec2, "geo-diff", key_file)
    remove_key_pair(ec2, "geo-diff", key_file)

    assert key_path(key_file).is_file()


def test_tearing_down_a_mistyped_cluster_keeps_the_key(ec2, key_file):
    ensure_key_pair(ec2, "geo-diff", key_file)

    assert [] == remove_key_pair(ec2, "geo-dif", key_file)
    assert key_path(key_file).is_file()


def test_removing_takes_the_pair_the_key_and_the_pinned_hosts(ec2, key_file):
    ensure_key_pair(ec2, "geo-diff", key_file)
    known_hosts_path(key_file).write_text("i-1 ssh-ed25519 AAAA\n")

    assert 3 == len(remove_key_pair(ec2, "geo-diff", key_file))
    assert [] == remove_key_pair(ec2, "geo-diff", key_file)
