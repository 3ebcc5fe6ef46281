"""
The recorder of a deployment between Docker's command line and an engine: reads pass, writes do not.
"""

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from runbook_lib.hosts.agents import stack_deploy
from runbook_lib.hosts.agents.stack_deploy import Recorder, deploy
from tests.fakes.engine_api import EngineApi, serving

AGENT = Path(stack_deploy.__file__)
STACK = """
services:
  web:
    image: example/web:1
    environment: {A: "b"}
    secrets: [token]
    configs: [site]
  old: {image: "example/old:1", deploy: {replicas: 3}}
secrets: {token: {file: ./token}}
configs: {site: {external: true}}
"""


def service(key, name, mode="Replicated"):
    template = {"ContainerSpec": {"Image": "x"}}
    labels = {"com.docker.stack.namespace": "app"}
    spec = {"Name": name, "Labels": labels, "Mode": {mode: {}}, "TaskTemplate": template}
    return {"ID": key, "Version": {"Index": 7}, "Spec": spec}


def made(key, name, data=b""):
    spec = {"Name": name, "Labels": {}, "Data": base64.b64encode(data).decode()}
    return {"ID": key, "Version": {"Index": 7}, "Spec": spec}


@pytest.fixture
def engine(tmp_path):
    lists = {
        "services": [service("s1", "app_old"), service("s2", "app_gone")],
        "configs": [made("c1", "site", b"hello")],
        "secrets": [made("x1", "other")],
    }
    with serving(EngineApi(tmp_path / "engine.sock", **lists)) as engine:
        yield engine


def recorder(engine, tmp_path, **options):
    return serving(
        Recorder(
            str(tmp_path / "recorder.sock"), engine.path, options.pop("existing", {}), **options
        )
    )


def call(server, method, path, body=None):
    connection = http.client.HTTPConnection("docker")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(server.server_address)
    connection.request(method, path, json.dumps(body) if body else None)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read() or b"null")


def names(listed):
    return [item["Spec"]["Name"] for item in listed]


def test_a_read_is_answered_by_the_engine(engine, tmp_path):
    with recorder(engine, tmp_path) as server:
        status, listed = call(server, "GET", "/v1.41/services?filters=%7B%7D")

    assert (200, ["app_old", "app_gone"]) == (status, names(listed))
    assert [] == server.calls


def test_a_write_is_recorded_and_does_not_reach_the_engine(engine, tmp_path):
    with recorder(engine, tmp_path) as server:
        updated = call(
            server, "POST", "/v1.41/services/s1/update?version=7", service("", "a")["Spec"]
        )
        removed = call(server, "DELETE", "/v1.41/services/s2")

    assert [200, 200] == [updated[0], removed[0]]
    assert [] == engine.writes
    assert [("POST", "/services/s1/update", "version=7"), ("DELETE", "/services/s2", "")] == [
        (c["method"], c["path"], c["query"]) for c in server.calls
    ]


def test_what_was_created_is_found_afterwards_and_its_data_is_a_hash(engine, tmp_path):
    data = base64.b64encode(b"hunter2").decode()
    with recorder(engine, tmp_path, existing={"secrets": ["coming"]}) as server:
        before = call(server, "GET", "/v1.41/secrets/token")
        created = call(server, "POST", "/v1.41/secrets/create", {"Name": "token", "Data": data})
        filters = "%7B%22name%22%3A%7B%22token%22%3Atrue%2C%22coming%22%3Atrue%7D%7D"
        listed = call(server, "GET", f"/v1.41/secrets?filters={filters}")
        found = call(server, "GET", "/v1.41/secrets/token")

    assert [404, 201, 200] == [before[0], created[0], found[0]]
    assert ["other", "coming", "token"] == names(listed[1])
    assert created[1]["ID"] == found[1]["ID"] == listed[1][2]["ID"]
    assert f"sha256:{sha256(b'hunter2').hexdigest()}" == server.calls[0]["body"]["Data"]


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("configs/c1", {"Data": base64.b64encode(b"bye").decode()}, "only updates to Labels"),
        ("services/s1", {"Mode": {"Global": {}}}, "service mode change is not allowed"),
    ],
)
def test_what_the_engine_would_refuse_is_refused_with_its_words(
    engine, tmp_path, path, body, reason
):
    with recorder(engine, tmp_path) as server:
        status, answer = call(server, "POST", f"/v1.41/{path}/update?version=7", body)

    assert (400, True) == (status, reason in answer["message"])
    assert [] == server.calls


def test_a_deployment_passes_on_all_but_the_updates_that_change_nothing(engine, tmp_path):
    with recorder(engine, tmp_path, unchanged=["services/s1"]) as server:
        for path in ("services/s1/update", "services/s2/update", "networks/create"):
            assert call(server, "POST", f"/v1.41/{path}", {"Name": "a"})[0] in (200, 201)

    assert [("POST", "services/s2/update"), ("POST", "networks/create")] == engine.writes


def test_an_engine_that_is_gone_is_an_answer(tmp_path):
    with serving(Recorder(str(tmp_path / "r.sock"), str(tmp_path / "none"), {})) as server:
        status, answer = call(server, "GET", "/v1.41/services")

    assert (502, True) == (status, "No such file" in answer["message"])


def request(engine, **changed):
    return {
        "name": "app",
        "documents": [STACK],
        "files": {"token": base64.b64encode(b"hunter2").decode()},
        "resolve": "never",
        "timeout_s": 30,
        "socket": engine.path,
    } | changed


@pytest.mark.docker_cli
def test_dockers_own_command_line_is_recorded(engine, tmp_path):
    version = {"documents": [f'version: "3.8"\n{STACK}']}
    answer = deploy(request(engine, **version), tmp_path)

    assert (0, []) == (answer["code"], engine.writes), answer["output"]
    did = [(c["method"], c["path"], (c["body"] or {}).get("Name")) for c in answer["calls"]]
    assert sorted(did) == [
        ("DELETE", "/services/s2", None),
        ("POST", "/networks/create", "app_default"),
        ("POST", "/secrets/create", "app_token"),
        ("POST", "/services/create", "app_web"),
        ("POST", "/services/s1/update", "app_old"),
    ]
    web = next(c["body"] for c in answer["calls"] if c["path"] == "/services/create")
    assert ["A=b"] == web["TaskTemplate"]["ContainerSpec"]["Env"]
    assert "hunter2" not in json.dumps(answer)


@pytest.mark.docker_cli
def test_dockers_reason_is_answered(engine, tmp_path):
    answer = deploy(
        request(engine, documents=['version: "3.8"\nservices: {a: {imag: x}}']), tmp_path
    )

    assert 0 != answer["code"]
    assert "imag" in answer["output"]


def test_a_file_outside_the_stack_is_refused(engine, tmp_path):
    answer = deploy(request(engine, files={"../../etc/passwd": ""}), tmp_path)

    assert (1, []) == (answer["code"], answer["calls"])


def slow_docker(tmp_path):
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\npwd > $0.folder\nexec sleep 60\n")
    program.chmod(0o755)
    return program, {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}


def test_docker_that_does_not_end_is_stopped(engine, tmp_path, monkeypatch):
    _, environment = slow_docker(tmp_path)
    monkeypatch.setenv("PATH", environment["PATH"])
    answer = deploy(request(engine, timeout_s=0.2), tmp_path)

    assert (124, []) == (answer["code"], answer["calls"])


def test_a_stopped_agent_leaves_no_folder_and_no_process(engine, tmp_path):
    program, environment = slow_docker(tmp_path)
    process = subprocess.Popen(
        [sys.executable, str(AGENT)],
        stdin=subprocess.PIPE,
        env=environment | {"TMPDIR": str(tmp_path)},
    )
    process.stdin.write(json.dumps(request(engine)).encode())
    process.stdin.close()
    seen = Path(f"{program}.folder")
    deadline = time.monotonic() + 20
    while not (seen.exists() and seen.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    folder = Path(seen.read_text().strip()).parent
    assert 0o700 == folder.stat().st_mode & 0o777
    process.send_signal(signal.SIGTERM)

    assert 128 + signal.SIGTERM == process.wait(10)
    assert not folder.exists()


def test_a_folder_that_a_killed_program_left_is_removed_by_the_next(tmp_path):
    old, new = tmp_path / "runbook-stack.old", tmp_path / "runbook-stack.new"
    for folder in (old, new):
        (folder / "docker").mkdir(parents=True)
    os.utime(old, (0, 0))
    stack_deploy._remove_left(tmp_path)
    assert [new] == list(tmp_path.iterdir())


def test_a_manager_without_docker_is_told_in_words(engine, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    request = {"name": "app", "documents": [], "resolve": "never", "timeout_s": 5}
    answer = deploy(request | {"socket": engine.path}, tmp_path)
    words = "docker cannot be run on the manager: No such file or directory"
    assert (127, words) == (answer["code"], answer["output"])
