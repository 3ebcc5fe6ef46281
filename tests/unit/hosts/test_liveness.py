"""
A host that hangs or goes away ends the work on it, by its name; the other hosts finish.
"""

import io
import threading
import time
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingUnixStreamServer

import pytest

from runbook_lib.core.errors import CommandError
from runbook_lib.hosts import liveness, ssh
from runbook_lib.hosts.docker_ssh import docker_client
from runbook_lib.hosts.ssh import run_all
from tests.fakes.engine_api import serving
from tests.fakes.ssh_server import SshHost


@pytest.fixture(autouse=True)
def brisk(monkeypatch):
    """Where nothing hangs, a busy machine of the tests is no hang either."""
    for name, seconds in {"_ASK_S": 0.2, "_SILENT_S": 30, "_BACK_S": 0.5}.items():
        monkeypatch.setattr(liveness, name, seconds)


@pytest.fixture
def hang(monkeypatch):
    """A function that lets a host hang, which is noticed in less than the minute of a real one."""

    def stop(host, silent_s=0.5):
        monkeypatch.setattr(liveness, "_SILENT_S", silent_s)
        time.sleep(0.4)  # what was asked before has its answer
        host.stop()

    return stop


@pytest.fixture
def host(tmp_path):
    """A machine with an SSH server."""
    made = SshHost(tmp_path)
    yield made
    made.kill()


def opened(host, role):
    connection = host.connection(role)
    assert "" == ssh.run(connection, "true")
    return connection


def doomed(host, role):
    """A connection to a host that will hang: it is not waited for when it is opened again."""
    connection = opened(host, role)
    connection.connect_kwargs["banner_timeout"] = 1
    return connection


@pytest.fixture
def once(tmp_path):
    """A function that acts once so many commands have begun: each makes a file of this name."""
    threads = []

    def start(act, commands=1):
        def wait():
            deadline = time.monotonic() + 60
            while len(list(tmp_path.glob("begun-*"))) < commands and time.monotonic() < deadline:
                time.sleep(0.05)
            act()

        threads.append(threading.Thread(target=wait))
        threads[-1].start()

    yield start
    for thread in threads:  # nothing is left to happen after the test
        thread.join()


@pytest.fixture
def long_command(tmp_path):
    return f": something long\ntouch {tmp_path}/begun-$$\nsleep 60"


def test_a_host_that_hangs_during_a_command_is_named_within_its_limit(
    host, once, hang, long_command
):
    connection = doomed(host, "worker-2")
    began = time.monotonic()
    once(lambda: hang(host))
    with pytest.raises(CommandError) as caught:
        ssh.run(connection, long_command)

    assert time.monotonic() - began < 40
    assert str(caught.value).splitlines() == [
        "expected worker-2 (127.0.0.1) to answer until this was done; it no longer does",
        "  : something long",
        "  worker-2 (127.0.0.1) hangs: it has not answered SSH for 0.5 s",
        "  next: reboot worker-2 (127.0.0.1), then run this notebook again: it continues where it "
        "stopped",
    ]


@pytest.mark.slow  # more silence than this, a busy machine has by itself
def test_a_command_that_takes_long_on_a_host_that_answers_is_no_hang(host, monkeypatch):
    monkeypatch.setattr(liveness, "_SILENT_S", 8)
    assert "done\n" == ssh.run(host.connection("worker-2"), "sleep 10; echo done")


def test_the_others_finish_while_one_hangs(host, tmp_path, once, hang):
    second = SshHost(tmp_path)
    script = (
        f"touch {tmp_path}/begun-$$; until [ -e {tmp_path}/go ]; do sleep 0.05; done; "
        f"touch {tmp_path}/ended-$$"
    )
    try:
        hosts = {"worker-1": opened(host, "worker-1"), "worker-2": doomed(second, "worker-2")}
        once(lambda: (hang(second, 3), (tmp_path / "go").touch()), commands=2)
        with pytest.raises(CommandError) as caught:
            run_all("Waits", hosts, script)
    finally:
        second.kill()

    assert str(caught.value).startswith("Waits: 1 of 2 succeeded; failed: worker-2\n")
    assert 1 == len(list(tmp_path.glob("ended-*")))


def test_a_connection_is_opened_again_once_the_host_answers(host, hang):
    connection = opened(host, "worker-2")
    hang(host)
    deadline = time.monotonic() + 60
    while connection.is_connected:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    liveness._SILENT_S = 30
    host.go_on()

    assert "back\n" == ssh.run(connection, "echo back")


@pytest.mark.parametrize(
    ("up_s", "what"),
    [
        (0.1, "worker-2 (127.0.0.1) was rebooted while"),
        (9999, "the connection to worker-2 (127.0.0.1) was lost while"),
    ],
)
def test_a_host_that_was_rebooted_is_told_from_a_command_that_failed(
    host, once, monkeypatch, up_s, what, long_command
):
    """The server is killed and started; how long its first process runs is what it says."""
    monkeypatch.setattr(liveness, "_UP", f"echo {up_s}")
    monkeypatch.setattr(liveness, "_BACK_S", 60)
    connection = opened(host, "worker-2")
    once(lambda: (host.kill(), host.start()))
    with pytest.raises(CommandError) as caught:
        ssh.run(connection, long_command)

    assert str(caught.value).startswith(f"{what} a command ran; the command did not fail by itself")
    assert f"is up for {up_s:.0f} s" in str(caught.value)


def test_the_age_of_the_first_process_is_a_number_of_seconds(host):
    assert 0 < float(ssh.run(host.connection("worker-2"), liveness._UP))


def test_a_command_that_failed_or_was_killed_is_no_reboot(host):
    connection = host.connection("worker-2")
    with pytest.raises(CommandError, match=r"on worker-2 \(127.0.0.1\), saw 3"):
        ssh.run(connection, "exit 3")
    with pytest.raises(CommandError, match="saw none: a signal ended it"):
        ssh.run(connection, "kill -9 $$")


class Building(BaseHTTPRequestHandler):
    """An engine that begins to build, and says no more."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = b'{"ApiVersion": "1.41", "Swarm": {}}'
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def do_POST(self):
        said = b'{"stream": "Step 1/9"}'
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.wfile.write(head + b"%x\r\n%s\r\n" % (len(said), said))
        time.sleep(10)
        self.close_connection = True  # the rest of the request is not read

    def log_message(self, *_):
        pass


@pytest.fixture
def engine(tmp_path):
    """A machine whose Docker answers, and builds for ever."""
    server = ThreadingUnixStreamServer(str(tmp_path / "docker.sock"), Building)
    server.daemon_threads = True
    with serving(server):
        made = SshHost(tmp_path, str(tmp_path / "docker.sock"))
        yield made
        made.kill()


NAMED = r"expected Docker on worker-2 \(127.0.0.1\) to answer; it did not"


def test_a_host_that_hangs_during_a_build_is_named(engine, hang):
    client = docker_client(engine.connection("worker-2"))
    output = client.api.build(fileobj=io.BytesIO(), custom_context=True, decode=True)
    assert {"stream": "Step 1/9"} == next(output)
    hang(engine)

    with pytest.raises(CommandError, match=NAMED):
        list(output)


def test_an_engine_that_hangs_on_a_host_that_answers_is_named(engine):
    client = docker_client(engine.connection("worker-2"), timeout_s=1)
    output = client.api.build(fileobj=io.BytesIO(), custom_context=True, decode=True, timeout=1)

    with pytest.raises(CommandError, match=NAMED):
        list(output)


def test_a_host_that_hangs_before_a_request_is_named_and_asked_again_later(engine, hang):
    client = docker_client(engine.connection("worker-2"))
    hang(engine)
    with pytest.raises(CommandError, match=NAMED):
        client.info()
    liveness._SILENT_S = 30
    engine.go_on()

    assert {} == client.info()["Swarm"]
