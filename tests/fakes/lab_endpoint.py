"""
The lab's server in a process of its own, whose instances are records without machines.

Its API, metadata, rights and faults are the lab's own: only Docker is missing. A process of its
own, because the lab replaces parts of moto for good.
"""

import functools
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any
from unittest import mock

from lab.commands.server_process import is_healthy
from lab.core.config import LabConfig
from lab.faults.armed import Faults
from lab.machines.containers import Condition, Machines
from runbook_lib.cloud.aws import Place
from tests.fakes.aws import SESSION
from tests.fakes.ports import keep_port
from tests.places import ROOT

POLICIES = ("iam-policy.json", "iam-policy-tiles-on-s3.json")
TAGS = ("runbook:cluster=geo-diff", "runbook:vpc=@default-vpc")
HOST_KEYS = b"""
-----BEGIN SSH HOST KEY KEYS-----
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0fT1bGk0J0E1vS6r9yC0Q6nXTRVHq2TjSy0nMeqKz7 root@instance
-----END SSH HOST KEY KEYS-----
"""


class LabEndpoint:
    """
    A running endpoint, with clients of its users and its instances.
    """

    def __init__(self, config: LabConfig) -> None:
        self._config = config
        self._users = ConfigParser()
        self._users.read(config.credentials_file)
        self.faults = Faults(config.state_dir)
        self.place = Place(config.region, config.endpoint_url, str(config.credentials_file))
        self.client = functools.cache(self.place.client)
        # the SDK's own clients: a refusal comes in AWS's words
        self.operator = functools.cache(functools.partial(self._user, "default"))
        # no fault strikes these, which see what is true
        self.administrator = functools.cache(functools.partial(self._user, "administrator"))

    def _user(self, profile: str, service: str) -> Any:
        return self._made(service, **self._users[profile])

    def _made(self, service: str, **keys: str) -> Any:
        return SESSION.client(service, endpoint_url=self._config.endpoint_url, **keys)

    def with_keys(self, service: str, keys: Mapping[str, str]) -> Any:
        """
        A client with the keys of a session, as STS gives them.
        """
        return self._made(
            service,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
        )

    def of_role(self, service: str, address: str) -> Any:
        """
        A client with the keys that the metadata service gives to the instance of an address.
        """

        def ask(path: str, method: str = "GET", **headers: str) -> str:
            # the address is one of this machine's, as all of 127.0.0.0/8
            at = self._config.gateway, self._config.metadata_port
            metadata = HTTPConnection(*at, timeout=60, source_address=(address, 0))
            metadata.request(method, f"/latest/{path}", headers=headers)
            with metadata.getresponse() as answer:
                return answer.read().decode()

        lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        token = {"X-aws-ec2-metadata-token": ask("api/token", "PUT", **lifetime)}
        folder = "meta-data/iam/security-credentials/"
        keys = json.loads(ask(folder + ask(folder, **token), **token))
        return self.with_keys(service, keys | {"SessionToken": keys["Token"]})


@contextmanager
def lab_endpoint(home: Path) -> Iterator[LabEndpoint]:
    """
    Serve a lab from a home; its operator has the policies and tags of the runbook's.
    """
    params = ROOT / "params"
    log = home / "endpoint.log"
    environment = {"HOME": str(home), "MOTO_EC2_LOAD_DEFAULT_AMIS": "false", "PATH": os.defpath}
    command = [sys.executable, "-m", "tests.fakes.lab_endpoint", LabConfig.name]
    at_home = mock.patch.dict(os.environ, {"HOME": str(home)})
    kept, port = keep_port()
    with kept:
        # private, addresses of this machine, and not those of another endpoint
        subnet = f"127.{1 + port % 254}.0.0/16"
        with at_home:
            config = LabConfig(
                port=port,
                subnet=subnet,
                operator_policies=tuple(str(params / name) for name in POLICIES),
                operator_tags=TAGS,
                account_policies=(f"runbook-tiles={params / 'iam-role-of-the-tiles.json'}",),
            )
            config.save()
        with (
            log.open("wb") as output,
            Popen(command, cwd=ROOT, env=environment, stdin=PIPE, stderr=output) as process,
        ):
            try:
                deadline = time.monotonic() + 120
                while not is_healthy(config):
                    assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                    time.sleep(0.1)
                with at_home:
                    endpoint = LabEndpoint(config)
                yield endpoint
            finally:
                process.kill()


class NoMachines(Machines):
    """
    Every order is carried out at once, by nobody.
    """

    def __init__(self, config: LabConfig) -> None:
        self._running: dict[str, bool] = {}

    def create(self, hardware: Any, files: bytes) -> None:
        self._running[hardware.instance_id] = False

    def start(self, instance_id: str) -> None:
        self._running[instance_id] = True

    def stop(self, instance_id: str) -> None:
        self._running[instance_id] = False

    def remove(self, instance_id: str) -> None:
        self._running.pop(instance_id, None)

    def condition(self, instance_id: str) -> Condition:
        running = self._running.get(instance_id)
        return Condition(exists=running is not None, running=bool(running))

    def console(self, instance_id: str) -> bytes:
        return HOST_KEYS

    def find_ids(self) -> list[str]:
        return []

    def exits(self) -> Iterator[str]:
        threading.Event().wait()
        yield ""

    def _nothing(self, *_: Any) -> None: ...

    put = restart = wait_ready = apply = check = _nothing


if __name__ == "__main__":
    from lab.aws import server  # the tests' own process needs none of it

    # it ends with the process of the tests, however that ends
    threading.Thread(target=lambda: os._exit(len(sys.stdin.read())), daemon=True).start()
    server.Machines = NoMachines
    server.serve(LabConfig.load(sys.argv[1]))
