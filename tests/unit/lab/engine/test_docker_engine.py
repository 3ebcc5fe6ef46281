"""
Finding an engine, and saying why there is none.
"""

import os
import subprocess
import sys

import pytest

from lab.core.errors import LabError
from lab.engine import docker_engine, dockerd, packages
from tests.places import ROOT

GOOD = {
    "OSType": "linux",
    "KernelVersion": "6.1",
    "Driver": "overlay2",
    "SecurityOptions": ["name=seccomp"],
    "MemoryLimit": True,
    "CpuCfsQuota": True,
}


@pytest.fixture
def daemon(tmp_path):
    return dockerd.Daemon(tmp_path / "docker" / "data", tmp_path / "run")


@pytest.mark.parametrize(
    ("differs", "problem"),
    [
        ({}, None),
        ({"OSType": "windows"}, "windows containers"),
        ({"KernelVersion": "5.15-vm"}, "another machine"),
        ({"Driver": "vfs"}, "copies every layer"),
        ({"SecurityOptions": ["name=rootless"]}, "rootless"),
        ({"MemoryLimit": False}, "cannot limit"),
    ],
)
def test_an_engine_must_be_able_to_run_instances(differs, problem):
    """Each reason against an engine is reported."""
    found = docker_engine.engine_problems({**GOOD, **differs}, "6.1")
    assert (problem is None) == (found == [])
    assert all(problem in text for text in found)


def test_the_users_engine_comes_before_our_own(daemon):
    """DOCKER_HOST, the default socket, the private one; each tried once."""
    environ = {"DOCKER_HOST": daemon.host}
    assert [daemon.host, docker_engine.DEFAULT_HOST] == docker_engine.candidates(daemon, environ)
    assert [docker_engine.DEFAULT_HOST, daemon.host] == docker_engine.candidates(daemon, {})


def test_a_socket_without_a_listener_is_not_an_engine(daemon, monkeypatch):
    """A killed daemon leaves its socket; the reason says so."""
    monkeypatch.setattr(docker_engine, "DEFAULT_HOST", "unix:///nowhere/docker.sock")
    daemon.run_dir.mkdir()
    bind = f"import socket; socket.socket(socket.AF_UNIX).bind({str(daemon.socket)!r})"
    subprocess.run([sys.executable, "-c", bind], check=True)
    search = docker_engine.find_engine(daemon, {})
    assert search.engine is None
    assert search.reasons == {
        "unix:///nowhere/docker.sock": "the socket does not exist",
        daemon.host: "nothing listens on the socket",
    }


@pytest.mark.parametrize(
    ("reason", "debian", "step"),
    [
        ("you have no right to use the socket", True, "usermod -aG docker"),
        ("the socket does not exist", True, "apt-get install docker.io"),
        ("the socket does not exist", False, "install Docker Engine"),
    ],
)
def test_without_an_engine_the_next_step_is_named(monkeypatch, reason, debian, step):
    """What to install, or which right is missing."""
    monkeypatch.setattr(docker_engine.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(docker_engine, "_is_debian", lambda: debian)
    problem = docker_engine.private_engine_problem(
        docker_engine.Search(reasons={"unix:///x": reason})
    )
    assert problem is not None
    assert step in problem.next_step
    assert reason in problem.evidence


def test_packages_need_root_and_apt(monkeypatch):
    """Named all at once, with the command to paste."""
    monkeypatch.setattr(packages.shutil, "which", lambda program: None)
    with pytest.raises(LabError, match=r"sudo apt-get install docker\.io zip"):
        packages.ensure_programs(["dockerd", "zip"])


def test_a_policy_against_service_starts_is_put_back(monkeypatch, tmp_path):
    """The administrator's own policy is back afterwards; one of a killed run of ours is not."""
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(packages, "POLICY", policy)
    policy.write_text("#!/bin/sh\nexit 0\n")
    with packages._no_service_starts():
        assert policy.read_text() == packages.POLICY_TEXT
    assert policy.read_text() == "#!/bin/sh\nexit 0\n"
    policy.write_text(packages.POLICY_TEXT)
    with packages._no_service_starts():
        pass
    assert not policy.exists()


INSTALL = """
import sys
from pathlib import Path
from lab.engine import packages
folder = Path(sys.argv[1])
packages.POLICY, packages.ONE_AT_A_TIME = folder / "policy-rc.d", folder / "lock"
packages.LISTS = folder  # has a list
packages.os.geteuid = lambda: 0
packages.PACKAGE_OF = {"never-there": "a-package"}
packages.ensure_programs(["never-there"])
"""
APT = """#!/bin/sh
# no service may start while any of them installs
[ -e {0}/policy-rc.d ] || echo "no policy" >> {0}/calls
echo begins >> {0}/calls
sleep 0.5
[ -e {0}/policy-rc.d ] || echo "no policy" >> {0}/calls
echo ends >> {0}/calls
"""


def test_two_labs_install_one_after_the_other(tmp_path):
    """Two apt at once refuse each other; the first to end lets the services of the other start."""
    (tmp_path / "a_Packages").touch()
    (tmp_path / "apt-get").write_text(APT.format(tmp_path))
    (tmp_path / "apt-get").chmod(0o755)
    command = [sys.executable, "-c", INSTALL, str(tmp_path)]
    environ = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    both = [subprocess.Popen(command, cwd=ROOT, env=environ) for _ in range(2)]

    assert [0, 0] == [process.wait(60) for process in both]
    assert ["begins", "ends"] * 2 == (tmp_path / "calls").read_text().split("\n")[:-1]
    assert not (tmp_path / "policy-rc.d").exists()
