"""
The key pair: made once, kept safe, and never mistaken for another's.
"""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from runbook_lib.cloud.key_files import key_path, known_hosts_path, new_key_path
from runbook_lib.cloud.key_pairs import MADE, ORIGIN_TAG, ensure_key_pair
from runbook_lib.cloud.tags import tags_of
from runbook_lib.cloud.teardown import remove_key_pair
from runbook_lib.core.errors import AccessError, ConflictError, NotFoundError, ParameterError


@pytest.fixture
def key_file(tmp_path):
    """Where the private key is to be."""
    return str(tmp_path / "keys" / "geo-diff.pem")


def test_the_first_run_makes_the_file_and_imports_its_public_half(ec2, key_file):
    changes = ensure_key_pair(ec2, "geo-diff", key_file)

    assert ["imported", "made"] == [c.action for c in changes]
    assert 0o600 == key_path(key_file).stat().st_mode & 0o777


def test_the_second_run_changes_nothing(ec2, key_file):
    ensure_key_pair(ec2, "geo-diff", key_file)

    assert [] == ensure_key_pair(ec2, "geo-diff", key_file)


class Killed(BaseException):
    """The process ends here."""


def path_of(key_file):
    """Where the key is to be, in a folder that exists."""
    path = Path(key_file)
    path.parent.mkdir(exist_ok=True)
    return path


def kill_in(ec2, event, key_file):
    """A first run that ends at an event of its ImportKeyPair: before it is sent, or answered."""

    def end(**_):
        ec2.meta.events.unregister(f"{event}.ec2.ImportKeyPair", end)
        raise Killed

    ec2.meta.events.register(f"{event}.ec2.ImportKeyPair", end)
    with pytest.raises(Killed):
        ensure_key_pair(ec2, "geo-diff", key_file)


def origin(ec2):
    return tags_of(ec2.describe_key_pairs(KeyNames=["geo-diff"])["KeyPairs"][0])[ORIGIN_TAG]


@pytest.mark.parametrize(
    ("event", "then"), [("before-call", ["imported", "made"]), ("after-call", ["made"])]
)
def test_a_run_goes_on_with_the_key_of_one_that_was_killed(ec2, key_file, event, then):
    """Before EC2 had it, or after: it was made here, and 90 removes it."""
    kill_in(ec2, event, key_file)
    (left,) = new_key_path(key_file, "geo-diff").parent.iterdir()
    key = left.read_bytes()

    assert 0o600 == left.stat().st_mode & 0o777
    assert then == [c.action for c in ensure_key_pair(ec2, "geo-diff", key_file)]
    assert MADE == origin(ec2)
    assert [key] == [file.read_bytes() for file in left.parent.iterdir()]
    assert [] == ensure_key_pair(ec2, "geo-diff", key_file)
    remove_key_pair(ec2, "geo-diff", key_file)
    assert [] == list(left.parent.iterdir())


@pytest.mark.parametrize("event", ["before-call", "after-call"])
def test_what_a_killed_run_has_left_goes_with_the_pair(ec2, key_file, event):
    """Only EC2 says whose it is: a key that it never had stays, for a cluster of another name."""
    kill_in(ec2, event, key_file)
    changes = remove_key_pair(ec2, "geo-diff", key_file)

    assert (2 if event == "after-call" else 0) == len(changes)
    assert (event == "before-call") == new_key_path(key_file, "geo-diff").exists()


def test_a_new_key_serves_no_cluster_of_another_name(ec2, key_file, tmp_path):
    """It may be the only key of its own."""
    kill_in(ec2, "after-call", key_file)
    ensure_key_pair(ec2, "other", key_file)
    remove_key_pair(ec2, "other", key_file)

    assert ["made"] == [c.action for c in ensure_key_pair(ec2, "geo-diff", key_file)]


def test_a_new_key_that_is_not_of_the_pair_stays(ec2, key_file, tmp_path):
    """Another operator was quicker, after a run of ours was killed."""
    kill_in(ec2, "before-call", key_file)
    ensure_key_pair(ec2, "geo-diff", str(tmp_path / "theirs.pem"))
    with pytest.raises(NotFoundError, match="its private key is not at"):
        ensure_key_pair(ec2, "geo-diff", key_file)
    assert new_key_path(key_file, "geo-diff").exists()


def test_half_a_key_and_a_link_are_replaced(ec2, key_file, tmp_path):
    """A run was killed while it wrote; or somebody put a link there: it is not followed."""
    new, other = new_key_path(key_file, "geo-diff"), tmp_path / "other"
    new.parent.mkdir()
    new.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl")
    ensure_key_pair(ec2, "geo-diff", key_file)
    remove_key_pair(ec2, "geo-diff", key_file)
    other.write_text("kept")
    new.symlink_to(other)
    ensure_key_pair(ec2, "geo-diff", key_file)

    assert "kept" == other.read_text()
    assert [key_path(key_file)] == list(new.parent.iterdir())
    assert not key_path(key_file).is_symlink()


def test_a_key_that_was_brought_after_a_killed_run_takes_the_place_of_the_new_one(ec2, key_file):
    kill_in(ec2, "before-call", key_file)
    path = path_of(key_file)
    path.write_bytes(rsa_pem())
    path.chmod(0o600)
    ensure_key_pair(ec2, "geo-diff", key_file)

    assert "brought" == origin(ec2)
    assert [path] == list(path.parent.iterdir())


def rsa_pem():
    """A key as EC2 makes them."""
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


@pytest.mark.parametrize("text", ["", "no key", "-----BEGIN RSA PRIVATE KEY-----\nx\n"])
def test_a_file_that_is_no_key_is_refused_in_words(ec2, key_file, text):
    path = path_of(key_file)
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ParameterError, match=r"without a passphrase at .*(?s:.)*next: "):
        ensure_key_pair(ec2, "geo-diff", key_file)


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
