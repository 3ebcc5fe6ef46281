"""
The files that an instance gets when it starts, first and later.
"""

import io
import tarfile

from lab.machines.guest_files import GUEST, SCRIPTS, UNITS, first_start_archive, restart_archive


def contents_of(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name: member for member in tar.getmembers()}


def test_a_new_instance_gets_its_files_with_the_right_owners():
    """Scripts can be executed, keys and user data are private."""
    found = contents_of(
        first_start_archive(
            authorized_key="ssh-ed25519 AAAA x",
            user_data=b"#!/bin/sh",
            mirror_url="http://172.31.0.2:5000",
            script="set -e",
        )
    )
    assert all(found[target].mode == 0o755 for target in SCRIPTS.values())
    assert all(found[f"etc/systemd/system/{unit}"].mode == 0o644 for unit in UNITS)
    keys = found["home/ubuntu/.ssh/authorized_keys"]
    assert (keys.mode, keys.uid, found["home/ubuntu/.ssh"].mode) == (0o600, 1000, 0o700)
    assert found["var/lib/cloud/instance/user-data.txt"].mode == 0o600
    assert found["etc/lab/net.sh"].mode == 0o700


def test_a_restart_replaces_the_rules_only():
    """Everything else is the guest's by now."""
    assert list(contents_of(restart_archive("set -e"))) == ["etc/lab/net.sh"]


def test_every_file_of_the_guest_is_seeded():
    """And none is missing."""
    assert {*SCRIPTS, *UNITS} == {path.name for path in GUEST.iterdir()}
