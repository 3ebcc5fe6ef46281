"""
Host keys as the console prints them.
"""

import shlex
from types import SimpleNamespace

import pytest

from runbook_lib.core.errors import CommandError
from runbook_lib.hosts.ssh import (
    ensure_host_keys,
    host_keys,
    pinned_instances,
    run_with_input,
    shell_command,
)
from tests.fakes.ec2 import instance
from tests.fakes.ssh import LocalConnection

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
    assert [("ecdsa-sha2-nistp256", "AAAAE2Vj"), ("ssh-ed25519", "AAAAC3Nz")] == host_keys(CONSOLE)


def test_a_console_that_has_not_printed_them_has_none():
    assert [] == host_keys("Booting Linux\n-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 AAAA")


def test_after_a_rebuilt_machine_the_last_block_counts():
    later = CONSOLE.replace("AAAAC3Nz", "AAAAnew0")

    assert ("ssh-ed25519", "AAAAnew0") in host_keys(CONSOLE + later)


def test_a_command_for_a_person_pins_the_host_key_and_quotes_the_script(tmp_path):
    key = tmp_path / "a key.pem"
    key.touch(0o600)
    node = instance("manager", public_ip="192.0.2.4", instance_id="i-1")
    words = shlex.split(shell_command(node, str(key), "cat $(ls | head -1)"))
    assert ["ssh", "-i", str(key)] == words[:3]
    assert {"HostKeyAlias=i-1", f"UserKnownHostsFile={key}.known_hosts"} < set(words)
    assert ["ubuntu@192.0.2.4", "cat $(ls | head -1)"] == words[-2:]


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


def test_a_megabyte_reaches_a_command_as_its_input():
    assert "1000000\n" == run_with_input(LocalConnection(), "wc -c", b"x" * 1_000_000, sudo=True)


def test_a_command_that_reads_no_input_tells_its_own_error():
    with pytest.raises(CommandError, match="saw 3\n  echo no room; exit 3\n  no room"):
        run_with_input(LocalConnection(), "echo no room; exit 3", b"x" * 1_000_000)
