"""
The private daemon: what a killed one leaves is put right, and nothing of it is trusted.
"""

import os
import socket
import subprocess
import sys
import time

import pytest
from filelock import FileLock

from lab.core import processes
from lab.engine import dockerd, netfilter

RULES = """\
*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 10.8.0.0/24 -o eth0 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
COMMIT
"""


@pytest.fixture
def daemon(tmp_path, monkeypatch):
    monkeypatch.setattr(dockerd, "SYSTEM_CONTAINERD", tmp_path / "system-containerd.sock")
    return dockerd.Daemon(tmp_path / "docker" / "data", tmp_path / "run")


@pytest.fixture
def sleeper():
    """A process with a command line of our choice."""
    started = []

    def start(*words):
        code = "import time; time.sleep(60)"
        started.append(subprocess.Popen([sys.executable, "-c", code, *words]))
        wait_until(lambda: processes.is_running(started[-1].pid, *words))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within a minute"
        time.sleep(0.02)


def test_pid_files_and_sockets_of_a_killed_daemon_are_removed(daemon):
    """Also where the recorded pid lives: it is another process by now."""
    folder = daemon.exec_root / "containerd"
    folder.mkdir(parents=True)
    for path in (daemon.pid_file, folder / "containerd.pid"):
        path.write_text(str(os.getpid()))
    for path in (daemon.socket, folder / "containerd.sock"):
        path.touch()
    dockerd.clear_leftovers(daemon)
    assert [path for path in daemon.run_dir.rglob("*") if path.is_file()] == []
    assert processes.is_running(os.getpid())


def test_a_daemon_is_known_by_its_data_root(daemon, sleeper):
    """The daemon of another data root is not ours, whatever a pid file says."""
    other = sleeper("dockerd", "--data-root", f"{daemon.data_root}-other", "-H", "x")
    assert dockerd.daemon_pids(daemon) == []
    ours = sleeper("dockerd", "--data-root", str(daemon.data_root), "-H", "x")
    assert dockerd.daemon_pids(daemon) == [ours.pid]
    assert other.poll() is None


def test_a_socket_file_alone_is_no_daemon(daemon):
    """It opens its socket long before it serves, and a dead one leaves it."""
    daemon.run_dir.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(daemon.socket))
        assert not dockerd.answers(daemon.socket)
        listener.listen()
        assert dockerd.answers(daemon.socket)
    assert not dockerd.is_ready(daemon.socket)


def test_only_dockers_own_rules_are_taken_out():
    """Rules before chains; the administrator's masquerade stays."""
    commands = netfilter.removal_commands("iptables", "nat", RULES.splitlines())
    texts = [" ".join(command) for command in commands]
    base = "iptables --wait --table nat"
    assert texts == [
        f"{base} --delete PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        f"{base} --delete POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
        f"{base} --delete DOCKER -i docker0 -j RETURN",
        f"{base} --delete-chain DOCKER",
    ]


def test_a_process_ends_only_if_it_is_the_one_that_is_meant(sleeper):
    """A pid is checked against the command line before every signal."""
    process = sleeper("a-lab-server")
    processes.stop_process(process.pid, "another-server", timeout_s=1)
    assert process.poll() is None
    processes.stop_process(process.pid, "a-lab-server", timeout_s=5)
    assert process.wait(5) != 0


def test_children_are_found(sleeper):
    """Containers are the children of their shims."""
    process = sleeper("child")
    assert process.pid in processes.children_of(os.getpid())


def test_a_lock_is_free_again_when_its_holder_is_gone(tmp_path):
    """Killed runs leave lock files, but no locks."""
    path = tmp_path / "x.lock"
    code = f"from filelock import FileLock; from pathlib import Path; import os\n\
with FileLock(Path({str(path)!r})): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], check=False)
    assert path.exists()
    with FileLock(path):
        pass
