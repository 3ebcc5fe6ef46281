"""
Host keys as the console prints them, pinned by the id of their instance.
"""

from types import SimpleNamespace

from runbook_lib.hosts.host_keys import ensure_host_keys, find_host_keys, pinned_instances
from tests.fakes.ec2 import instance

CONSOLE = """[  OK  ] Reached target
-----BEGIN SSH HOST KEY FINGERPRINTS-----
256 SHA256:abc root@ip-172-31-0-4 (ED25519)
-----END SSH HOST KEY FINGERPRINTS-----
-----BEGIN SSH HOST KEY KEYS-----
ecdsa-sha2-nistp256 AAAAE2Vj root@ip-172-31-0-4
\x1b[0;1mssh-ed25519 AAAAC3Nz root@ip-172-31-0-4\r
-----END SSH HOST KEY KEYS-----
"""


def test_the_keys_are_read_from_their_block_with_colours_and_carriage_returns():
    assert [("ecdsa-sha2-nistp256", "AAAAE2Vj"), ("ssh-ed25519", "AAAAC3Nz")] == find_host_keys(
        CONSOLE
    )


def test_a_console_that_has_not_printed_them_has_none():
    assert [] == find_host_keys(
        "Booting Linux\n-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 AAAA"
    )


def test_after_a_rebuilt_machine_the_last_block_counts():
    later = CONSOLE.replace("AAAAC3Nz", "AAAAnew0")

    assert ("ssh-ed25519", "AAAAnew0") in find_host_keys(CONSOLE + later)


def test_host_keys_are_pinned_once_and_forgotten_with_their_instance(tmp_path):
    """Two instances, then one of them is gone."""
    key_file = str(tmp_path / "key.pem")
    ec2 = SimpleNamespace(get_console_output=lambda **_: {"Output": CONSOLE})
    two = [instance(role, public_ip="54.0.0.1") for role in ("manager", "manager-backup")]

    assert ["manager", "manager-backup"] == [c.name for c in ensure_host_keys(ec2, two, key_file)]
    assert {"i-manager", "i-manager-backup"} == pinned_instances(key_file)
    assert [] == ensure_host_keys(ec2, two, key_file)
    assert ["i-manager-backup"] == [c.name for c in ensure_host_keys(ec2, two[:1], key_file)]
    assert {"i-manager"} == pinned_instances(key_file)
