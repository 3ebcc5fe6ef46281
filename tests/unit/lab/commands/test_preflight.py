"""
What a host lacks, reported before anything is changed.
"""

import ipaddress
import os
import socket
from pathlib import Path

import pytest

from lab.commands import preflight
from lab.core.config import LabConfig
from lab.core.errors import LabError
from lab.engine import kernel
from lab.engine.dockerd import Daemon

ROUTES = """\
Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	0102A8C0	0003	0	0	0	00000000	0	0	0
eth0	0002A8C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
br-4022f2e6cb20	00001FAC	00000000	0001	0	0	0	0000FFFF	0	0	0
down0	0000000A	00000000	0000	0	0	0	000000FF	0	0	0
"""


def test_routes_are_read_without_the_default_one():
    """Addresses stand there in the byte order of the machine; routes that are down do not count."""
    expected = [
        ("eth0", ipaddress.ip_network("192.168.2.0/24")),
        ("br-4022f2e6cb20", ipaddress.ip_network("172.31.0.0/16")),
    ]
    assert expected == preflight.parse_routes(ROUTES)


@pytest.mark.parametrize(
    ("subnet", "count"), [("172.31.0.0/16", 0), ("192.168.0.0/16", 1), ("10.77.0.0/16", 0)]
)
def test_a_subnet_that_the_host_routes_elsewhere_is_refused(monkeypatch, subnet, count):
    """The network that an earlier run left has exactly this subnet, and is no obstacle."""
    monkeypatch.setattr(preflight.Path, "read_text", lambda self, encoding: ROUTES)
    assert count == len(preflight._subnet(LabConfig(subnet=subnet)))


def test_a_port_in_use_is_named_with_its_owner():
    """Whoever holds it can be stopped, or another port chosen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        findings = preflight._port(LabConfig(port=port))
    assert len(findings) == 1
    assert f"pid {os.getpid()} (" in findings[0].seen
    assert f"--port {port + 1}" in findings[0].next_step
    assert preflight._port(LabConfig(port=port)) == []


def test_everything_that_is_missing_is_reported_at_once(monkeypatch, tmp_path):
    """Three parts each: expected, seen, next."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(preflight, "MEMORY_MIB", 10**9)
    monkeypatch.setattr(preflight, "DISK_MIB", 10**9)
    monkeypatch.setattr(preflight, "INOTIFY", 10**9)
    monkeypatch.setattr(kernel, "missing_features", lambda folder: [kernel.LINKS["vxlan"]])
    monkeypatch.setattr(preflight, "_engine", lambda daemon: [])
    with pytest.raises(LabError) as caught:
        preflight.require_ready(
            LabConfig(name="preflight-test", port=1029), Daemon(tmp_path / "d", tmp_path / "r")
        )
    text = str(caught.value)
    for word in ("VXLAN", "free memory", "free disk", "inotify"):
        assert word.lower() in text.lower()
    assert text.count("seen: ") == text.count("next: ") == text.count("\n- ")


def test_free_inotify_instances_are_counted_and_given_back():
    """Opened up to what is asked for, and every one of them is closed again."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert 5 == kernel.free_inotify_instances(5)
    assert before == len(list(Path("/proc/self/fd").iterdir()))


def test_a_request_for_a_link_is_well_formed():
    """Lengths of netlink messages and attributes count their own heads; all is aligned."""
    request = kernel.new_link("vxlan")
    assert int.from_bytes(request[:4], "little") == len(request)
    assert b"probe0\0" in request
    assert b"vxlan" in request
    assert kernel.attribute(1, b"abc") == b"\x07\x00\x01\x00abc\x00"
