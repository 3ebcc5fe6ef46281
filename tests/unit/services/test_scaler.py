"""
Scaler and reaper as they run, in front of a Docker socket that records what reaches it.
"""

import json
import re
import socket
import threading
import time
import urllib.parse
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingMixIn, UnixStreamServer

import pytest
from geodiff import control
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.services.listening import Listening, free_port

SPEC = {
    "Name": "s_worker",
    "TaskTemplate": {"ContainerSpec": {"Image": "i", "Env": ["PASSWORD=hidden"]}},
    "Mode": {"Replicated": {"Replicas": 4}},
}
TASK = {
    "ID": "t1",
    "NodeID": "n1",
    "Status": {"State": "running", "Timestamp": "2004-01-15T12:00:00.123456789Z"},
    "NetworksAttachments": [{"Addresses": ["10.0.1.5/24"]}],
}
ENVIRON = {"WORKER_SERVICE": "s_worker", "REAPER_SERVICE": "s_reaper",
           "MIN_SCALE": "2", "MAX_SCALE": "8"}  # fmt: skip
REFUSED = re.compile("40[03]")


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


@contextmanager
def docker_socket(path, asked, state):
    """
    An engine that answers the calls that it should get, and records every call.
    """

    class Handler(BaseHTTPRequestHandler):
        def address_string(self):
            return "local"

        def log_message(self, *_):
            pass

        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            where, _, query = self.path.partition("?")
            query = dict(urllib.parse.parse_qsl(query))
            asked.append((self.command, where, query, json.loads(body) if body else None))
            filters = json.loads(query.get("filters", "{}"))
            content = {
                "/services/s_worker": {
                    "Version": {"Index": 7},
                    "Spec": SPEC,
                    "UpdateStatus": {"State": state["update"]},
                },
                "/tasks": [TASK],
                "/containers/json": [{"Id": "c" * 64}] if _is_ours(filters) else [],
            }.get(where, {})
            self.send_response(500 if state["broken"] else 200)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def do_POST(self):
            self.do_GET()

    server = _Server(str(path), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def _is_ours(filters):
    wanted = ["com.docker.swarm.task.id=t1", "com.docker.swarm.service.name=s_worker"]
    return wanted == filters.get("label")


class Running(Listening):
    """
    The scaler or a reaper, what it asked of its Docker socket, and what that says.
    """

    def __init__(self, service, folder):
        self.asked, self.state = [], {"update": "completed", "broken": False}
        super().__init__(service, folder, ENVIRON | {"DOCKER_SOCKET": str(folder / "docker")})
        self.address = f"127.0.0.1:{self.port}"

    @property
    def writes(self):
        return [call for call in self.asked if call[0] != "GET"]


@contextmanager
def running(service, folder):
    found = Running(service, folder)
    try:
        with docker_socket(folder / "docker", found.asked, found.state):
            yield found
    finally:
        assert 0 == found.stop()


@pytest.fixture(scope="module")
def shared_scaler(tmp_path_factory):
    with running("scaler", tmp_path_factory.mktemp("scaler")) as found:
        yield found


@pytest.fixture(scope="module")
def shared_reaper(tmp_path_factory):
    with running("reaper", tmp_path_factory.mktemp("reaper")) as found:
        yield found


def fresh(service):
    service.asked.clear()
    service.state |= {"update": "completed", "broken": False}
    return service


@pytest.fixture
def scaler(shared_scaler):
    return fresh(shared_scaler)


@pytest.fixture
def reaper(shared_reaper):
    return fresh(shared_reaper)


def test_the_autoscaler_reads_numbers_tasks_and_reapers_but_no_specification(scaler):
    workers = control.call(scaler.address, "GET", "/workers")
    assert {
        "replicas": 4,
        "update_state": "",
        "running": [{"id": "t1", "node": "n1", "since": 1074168000.123456}],
    } == workers
    assert {"n1": "10.0.1.5"} == control.call(scaler.address, "GET", "/reapers")
    assert "hidden" not in str(workers)


def test_a_number_changes_the_replicas_and_nothing_else(scaler):
    assert {"replicas": 6} == control.call(scaler.address, "POST", "/workers/6")
    expected = SPEC | {"Mode": {"Replicated": {"Replicas": 6}}}
    assert [("POST", "/services/s_worker/update", {"version": "7"}, expected)] == scaler.writes


def test_a_body_with_a_mount_of_the_host_reaches_no_engine(scaler):
    """
    What the proxy before it let through: the whole specification, with `/` mounted.
    """
    evil = json.dumps({
        "Name": "s_worker",
        "TaskTemplate": {"ContainerSpec": {"Image": "i", "Mounts": [
            {"Type": "bind", "Source": "/", "Target": "/host"}]}},
        "Mode": {"Replicated": {"Replicas": 5}},
    }).encode()  # fmt: skip
    for path in (b"/services/s_worker/update?version=7", b"/workers/5"):
        scaler.raw(b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (path, len(evil)) + evil)
    assert "Mounts" not in json.dumps(scaler.writes)
    assert [5] == [call[3]["Mode"]["Replicated"]["Replicas"] for call in scaler.writes]


@pytest.mark.parametrize(
    "number", ["0", "1", "9", "9999", "99999", "-3", "+5", "5.0", "5/", "٥", ""]
)
def test_a_number_outside_the_bounds_changes_nothing(number, scaler):
    with pytest.raises(control.ControlError, match=REFUSED):
        control.call(scaler.address, "POST", f"/workers/{urllib.parse.quote(number)}")
    assert [] == scaler.writes


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/tasks"), ("GET", "/services/s_worker"), ("GET", "/info"), ("GET", "/"),
        ("GET", "/workers/5"), ("POST", "/workers"), ("POST", "/reapers"),
        ("POST", "/services/create"), ("DELETE", "/workers/5"), ("PUT", "/workers/5"),
        ("POST", "/v1.41/../workers/5"), ("POST", "/kill/t1"), ("GET", "/workers?x=1"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_and_reaches_no_engine(method, path, scaler):
    with pytest.raises(control.ControlError, match=REFUSED):
        control.call(scaler.address, method, path)
    assert [] == scaler.asked


@pytest.mark.parametrize("state", ["updating", "paused", "rollback_started", "rollback_paused"])
def test_a_service_that_is_being_deployed_is_left_alone(state, scaler):
    scaler.state["update"] = state
    assert state == control.call(scaler.address, "GET", "/workers")["update_state"]
    with pytest.raises(control.ControlError, match=f"409 .*s_worker is {state}"):
        control.call(scaler.address, "POST", "/workers/6")
    assert [] == scaler.writes


def test_an_engine_that_fails_is_told_to_the_autoscaler(scaler):
    scaler.state["broken"] = True
    with pytest.raises(control.ControlError, match=r"502 .*GET /services/s_worker: 500"):
        control.call(scaler.address, "GET", "/workers")
    with pytest.raises(control.ControlError, match="refused"):
        control.call(f"127.0.0.1:{free_port()}", "GET", "/workers")


def test_only_a_task_of_the_workers_is_killed(reaper):
    assert {"killed": "t1"} == control.call(reaper.address, "POST", "/kill/t1")
    kill = f"/containers/{'c' * 64}/kill"
    assert [("POST", kill, {"signal": "SIGKILL"}, None)] == reaper.writes
    with pytest.raises(control.ControlError, match=r"404 .*no such task of s_worker"):
        control.call(reaper.address, "POST", "/kill/t2")
    for method, path in [("GET", "/kill/t1"), ("POST", "/kill/T1"), ("POST", "/workers/5"),
                         ("GET", "/workers"), ("POST", kill)]:  # fmt: skip
        with pytest.raises(control.ControlError, match=REFUSED):
            control.call(reaper.address, method, path)
    assert 1 == len(reaper.writes)


def test_a_client_that_trickles_is_cut_off_and_keeps_nobody_waiting(scaler):
    slow = [socket.create_connection(("127.0.0.1", scaler.port), timeout=20) for _ in range(20)]
    for each in slow:
        each.sendall(b"GET /wor")
    began = time.monotonic()
    control.call(scaler.address, "GET", "/workers")
    assert time.monotonic() - began < 2
    assert {b""} == {each.recv(100) for each in slow}
    assert 3 < time.monotonic() - began < 10
    for each in slow:
        each.close()


REQUESTS = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda method, path, rest: method + b" " + path + rest,
        st.sampled_from([b"GET", b"POST", b"PUT", b"get", b""]),
        st.one_of(
            st.binary(max_size=40),
            st.from_regex(rb"\A/(workers|kill|reapers|services)(/[a-z0-9.]{0,9}){0,3}\Z"),
        ),
        st.sampled_from(
            [b" HTTP/1.1\r\n\r\n", b" HTTP/1.0\r\nX: " + b"y" * 3000 + b"\r\n\r\n", b""]
        ),
    ),
)


@pytest.mark.hostile
@given(REQUESTS)
def test_no_request_writes_anything_but_a_number_within_the_bounds(shared_scaler, request_):
    scaler = fresh(shared_scaler)
    answer = scaler.raw(request_)
    assert answer[9:12] in {b"", b"200", b"400", b"403"}, (request_, answer)
    for _, where, _, spec in scaler.writes:
        assert "/services/s_worker/update" == where
        assert 2 <= spec.pop("Mode")["Replicated"]["Replicas"] <= 8
        assert {name: SPEC[name] for name in spec} == spec
    assert "Traceback" not in scaler.log.read_text()
