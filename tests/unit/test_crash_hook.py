"""
The killer of the crash tests: each effect is met once, by the real clients of EC2, SSH and Docker.
"""

import json
import os
import subprocess
import sys

import pytest
from moto.server import ThreadedMotoServer

from tests.crash.chain import HOOK, KILLED
from tests.fakes.engine_api import EngineApi, serving
from tests.fakes.ssh_server import SshHost

EC2 = """
import boto3
ec2 = boto3.client("ec2", "us-east-1", endpoint_url="{url}",
                   aws_access_key_id="a", aws_secret_access_key="b")
ec2.describe_key_pairs()
for name in ("one", "two"):
    if not ec2.describe_key_pairs(Filters=[{{"Name": "key-name", "Values": [name]}}])["KeyPairs"]:
        ec2.create_key_pair(KeyName=name)
if not ec2.describe_vpcs(Filters=[{{"Name": "cidr", "Values": ["10.9.0.0/16"]}}])["Vpcs"]:
    ec2.create_vpc(CidrBlock="10.9.0.0/16")
print(len(ec2.describe_key_pairs()["KeyPairs"]), "keys")
"""
SSH = """
from tests.fakes.ssh_server import SshHost
from runbook_lib.hosts import ssh
host = SshHost.__new__(SshHost)
host.key, host.port = {key!r}, {port}
connection = host.connection("worker-1")
ssh.run(connection, "command -v dockerd || true")
ssh.run(connection, "echo begun >>{file}; until [ -s {log} ]; do sleep 0.05; done")
print("done")
"""
DOCKER = """
from tests.fakes.ssh_server import SshHost
from docker import APIClient
from runbook_lib.hosts import docker_ssh
host = SshHost.__new__(SshHost)
host.key, host.port = {key!r}, {port}
connection = host.connection("manager")
api = APIClient(base_url="http://docker.invalid:1", version="1.41")
api.mount("http+docker://ssh", docker_ssh._Adapter(connection, 20))
api.base_url = "http+docker://ssh"
found = api.configs(filters={{"label": "com.docker.stack.namespace=x"}})
if not found:
    api.create_config("one", b"data", labels={{"com.docker.stack.namespace": "x"}})
print("done")
"""


@pytest.fixture
def go(tmp_path):
    """Run a program until it is not killed; what killed it each time, and what it printed."""

    def until_alive(program, **crash):
        log = tmp_path / "effects.jsonl"
        environment = os.environ | {"CRASH_LOG": str(log), "PYTHONPATH": f"{HOOK}:."} | crash
        for _ in range(9):
            done = subprocess.run(
                [sys.executable, "-c", program], env=environment, capture_output=True, text=True,
                timeout=120, check=False,
            )  # fmt: skip
            if done.returncode != KILLED:
                break
        assert 0 == done.returncode, done.stderr
        lines = log.read_text().splitlines() if log.exists() else []
        return [json.loads(line)["effect"] for line in lines], done.stdout

    return until_alive


@pytest.fixture(scope="module")
def moto():
    """EC2 with an account in memory."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


def test_calls_of_ec2_that_change_something_kill_once_each(go, moto):
    """The second key is the same effect as the first: it is not met again."""
    effects, said = go(EC2.format(url=moto))

    assert ["ec2 CreateKeyPair (after)", "ec2 CreateVpc (after)"] == effects
    assert "2 keys\n" == said


def test_a_pattern_leaves_the_others_alone(go, moto):
    assert ([], "2 keys\n") == go(EC2.format(url=moto), CRASH_ONLY="^ssh")


def test_a_command_on_a_host_is_killed_in_the_middle_and_at_its_end(go, tmp_path):
    """What only looks kills nobody; the host itself goes on, here until the first kill."""
    host = SshHost(tmp_path)
    try:
        file = tmp_path / "said"
        log = tmp_path / "effects.jsonl"
        effects, said = go(SSH.format(key=str(host.key), port=host.port, file=file, log=log))
    finally:
        host.kill()

    assert ["(during)", "(after)"] == [effect.rpartition(" ")[2] for effect in effects]
    assert all("echo begun" in effect for effect in effects)
    assert "done\n" == said
    assert ["begun"] * 3 == [line for line in file.read_text().splitlines() if line == "begun"]


def test_a_write_to_docker_kills_after_it_was_made(go, tmp_path):
    with serving(EngineApi(tmp_path / "docker.sock")) as api:
        host = SshHost(tmp_path, api.path)
        try:
            program = DOCKER.format(key=str(host.key), port=host.port)
            # on a busy machine, it would be met during the request, too
            effects, said = go(program, CRASH_ONLY=r"\(after\)")
        finally:
            host.kill()

    assert ["docker POST configs/create (after)"] == effects
    assert "done\n" == said
    assert 1 == len(api.listed["configs"])
