"""
Host keys as the console prints them.
"""

from runbook_lib.ssh import host_keys

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
