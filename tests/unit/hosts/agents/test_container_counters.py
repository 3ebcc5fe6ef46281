"""
A container's counters, read where `docker stats` reads them: both versions of cgroups.
"""

import os

import pytest

from runbook_lib.hosts.agents import container_counters
from runbook_lib.hosts.agents.container_counters import ancestors, cgroups, cpu_s, network

CGROUP_1 = """\
12:pids:/docker/c1
11:memory:/docker/c1
9:cpu,cpuacct:/docker/c1
3:blkio:/docker/c1
0::/docker/c1
"""
NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop
    lo:    1000      10    0    0    0     0          0         0     1000      10    0    0
  eth0:  500000     400    0    0    0     0          0         0    70000     300    0    0
  eth1:     700       7    0    0    0     0          0         0       42       1    0    0
"""


def test_each_controller_of_version_1_has_its_folder():
    found = cgroups(CGROUP_1)
    assert "/sys/fs/cgroup/memory/docker/c1" == found["memory"]
    assert found["cpu"] != found["cpuacct"]
    assert "/sys/fs/cgroup/cpuacct/docker/c1" == found["cpuacct"]


def test_version_2_has_one_folder(monkeypatch):
    monkeypatch.setattr("pathlib.Path.exists", lambda path: True)
    text = "0::/system.slice/docker-c1.scope\n"
    assert {"": "/sys/fs/cgroup/system.slice/docker-c1.scope"} == cgroups(text)


def test_an_empty_tree_of_version_2_beside_version_1_is_not_it(monkeypatch):
    monkeypatch.setattr("pathlib.Path.exists", lambda path: True)
    assert "memory" in cgroups(CGROUP_1)


def test_the_network_is_all_interfaces_but_the_loopback():
    assert (500700, 70042) == network(NET_DEV)


def test_version_2_is_read_as_docker_reads_it(tmp_path):
    """Memory is without the cache that the kernel would give back first."""
    files = {
        "cpu.stat": "usage_usec 2500000\nuser_usec 2000000\n",
        "memory.current": "5000000\n",
        "memory.stat": "anon 1000\ninactive_file 1000000\n",
        "memory.max": "400000000\n",
        "io.stat": "259:0 rbytes=4096 wbytes=8192 rios=1 wios=2\n8:0 rbytes=1 wbytes=2\n",
        "pids.current": "7\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    counters = container_counters._counters_2(str(tmp_path))
    assert (2.5, 4000000, 400000000, 4097, 8194, 7) == counters


def test_version_1_is_read_as_docker_reads_it(tmp_path):
    files = {
        "cpuacct.usage": "2500000000\n",
        "memory.usage_in_bytes": "5000000\n",
        "memory.stat": "cache 3\ntotal_inactive_file 1000000\n",
        "memory.limit_in_bytes": "400000000\n",
        "blkio.throttle.io_service_bytes": "259:0 Read 4096\n259:0 Write 8192\nTotal 12288\n",
        "pids.current": "7\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    groups = dict.fromkeys(("memory", "blkio", "cpuacct", "pids"), str(tmp_path))
    assert (2.5, 4000000, 400000000, 4096, 8192, 7) == container_counters._counters_1(groups)


@pytest.mark.parametrize("text", ["max\n", "9223372036854771712\n"])
def test_without_a_limit_there_is_the_machines_memory(text):
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert whole == container_counters._limit(text)


def test_this_process_has_used_some_cpu():
    assert os.getpid() == ancestors(os.getpid())[0]
    assert cpu_s([os.getpid()]) > 0
