"""
The life of a second lab, beside the one that runs: up, again, killed, resumed, down.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import docker
import pytest

from lab.commands.server_process import server_pids
from lab.core.config import LabConfig
from lab.engine import dockerd
from lab.engine.dockerd import Daemon

NAME = "cli-test"
SUBNET = "172.25.0.0/16"

pytestmark = pytest.mark.lab


def lab(*arguments, **options):
    command = [sys.executable, "-m", "lab", *arguments, "--name", NAME]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="module")
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module", autouse=True)
def down_afterwards():
    """The engine stays: the lab of the session uses it."""
    yield
    lab("down")


def test_up_resumes_whatever_a_killed_run_left(port):
    """Killed by SIGKILL at several points; the next `up` ends well."""
    options = ["up", "--port", str(port), "--subnet", SUBNET, "--name", NAME]
    for patience_s in (1.0, 2.0, 3.5):
        process = subprocess.Popen(
            [sys.executable, "-m", "lab", *options], stdout=subprocess.DEVNULL
        )
        time.sleep(patience_s)
        process.kill()
        process.wait()
    result = lab("up", "--port", str(port), "--subnet", SUBNET)
    assert result.returncode == 0, result.stderr
    assert lab("status").returncode == 0
    config = LabConfig.load(NAME)
    assert config.credentials_file.stat().st_mode & 0o077 == 0
    url = f"{config.guest_endpoint_url}/geo-diff-tiles/SHA256SUMS"
    with urllib.request.urlopen(url, timeout=10) as response:
        assert b"blue-marble.z01" in response.read()


def test_a_second_up_changes_nothing(port):
    """The server is the same process."""
    before = server_pids(NAME)
    assert lab("up").returncode == 0
    assert before == server_pids(NAME)


def test_a_killed_server_is_noticed_and_replaced(port):
    """Its pid file and port are not trusted."""
    (pid,) = server_pids(NAME)
    os.kill(pid, signal.SIGKILL)
    assert lab("status").returncode == 3
    assert lab("up").returncode == 0
    assert server_pids(NAME) != [pid]
    assert lab("status").returncode == 0


def test_a_port_in_use_is_reported_before_anything_is_changed(port):
    """The lab at that port goes on."""
    command = [sys.executable, "-m", "lab", "up", "--name", f"{NAME}-b", "--port", str(port)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert f"pid {server_pids(NAME)[0]} (" in result.stderr
    assert not LabConfig(name=f"{NAME}-b").state_dir.exists()


def test_down_leaves_nothing_but_the_caches():
    """No container, network, process or file of this lab; the caches are named."""
    config = LabConfig.load(NAME)
    result = lab("down", "--keep-engine")
    assert result.returncode == 0, result.stderr
    assert "kept as a cache:" in result.stdout
    assert server_pids(NAME) == []
    assert not config.state_dir.exists()
    client = docker.DockerClient(config.docker_host)
    mine = {"label": config.label}
    assert client.containers.list(all=True, filters=mine) == []
    assert client.networks.list(filters=mine) == []
    assert lab("status").returncode == 3
    assert lab("down", "--keep-engine").returncode == 0


def test_a_down_waits_for_an_up_that_has_not_claimed_the_engine_yet():
    """It would stop the engine under the other lab, whose network is not there yet."""
    command = [sys.executable, "-m", "lab", "down", "--name", NAME, "--keep-engine"]
    with dockerd.lock(Daemon()):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)
    assert 0 == process.wait(60)
