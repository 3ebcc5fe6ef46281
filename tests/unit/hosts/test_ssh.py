"""
A command on a host, with its input, and one for a person.
"""

import shlex

import pytest

from runbook_lib.core.errors import CommandError
from runbook_lib.hosts.ssh import run_with_input, shell_command
from tests.fakes.ec2 import instance
from tests.fakes.ssh import LocalConnection


def test_a_command_for_a_person_pins_the_host_key_and_quotes_the_script(tmp_path):
    key = tmp_path / "a key.pem"
    key.touch(0o600)
    node = instance("manager", public_ip="192.0.2.4", instance_id="i-1")
    words = shlex.split(shell_command(node, str(key), "cat $(ls | head -1)"))
    assert ["ssh", "-i", str(key)] == words[:3]
    assert {"HostKeyAlias=i-1", f"UserKnownHostsFile={key}.known_hosts"} < set(words)
    assert ["ubuntu@192.0.2.4", "cat $(ls | head -1)"] == words[-2:]


def test_a_megabyte_reaches_a_command_as_its_input():
    assert "1000000\n" == run_with_input(LocalConnection(), "wc -c", b"x" * 1_000_000, sudo=True)


def test_a_command_that_reads_no_input_tells_its_own_error():
    with pytest.raises(CommandError, match="saw 3\n  echo no room; exit 3\n  no room"):
        run_with_input(LocalConnection(), "echo no room; exit 3", b"x" * 1_000_000)
