"""
The lab's endpoint in a process of its own, with machines that boot at once and are not there.

Moto, the operator's policy and the faults are the lab's own: only Docker is missing. A process of
its own, because the lab changes moto for good.
"""

import functools
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from lab.aws import credentials, server
from lab.commands.server_process import is_healthy
from lab.core.config import LabConfig
from lab.faults.armed import Faults
from lab.machines.containers import Condition, Machines
from runbook_lib.cloud.aws import Place
from tests.places import ROOT

HOST_KEYS = b"""
-----BEGIN SSH HOST KEY KEYS-----
ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0fT1bGk0J0E1vS6r9yC0Q6nXTRVHq2TjSy0nMeqKz7 root@instance
-----END SSH HOST KEY KEYS-----
"""


class NoMachines(Machines):
    """
    Every order is carried out at once, by nobody.
    """

    def __init__(self, config: LabConfig) -> None:
        self._config = config
        self._running: dict[str, bool] = {}

    def create(self, hardware: Any, files: bytes) -> None:
        self._running[hardware.instance_id] = False

    def put(self, instance_id: str, files: bytes) -> None: ...

    def start(self, instance_id: str) -> None:
        self._running[instance_id] = True

    restart = start

    def stop(self, instance_id: str) -> None:
        self._running[instance_id] = False

    def remove(self, instance_id: str) -> None:
        self._running.pop(instance_id, None)

    def wait_ready(self, instance_id: str) -> None: ...

    def apply(self, instance_id: str, script: str) -> None: ...

    def console(self, instance_id: str) -> bytes:
        return HOST_KEYS

    def condition(self, instance_id: str) -> Condition:
        running = self._running.get(instance_id)
        return Condition(exists=running is not None, running=bool(running))

    def find_ids(self) -> list[str]:
        return []

    def exits(self) -> Iterator[str]:
        threading.Event().wait()
        yield ""

    def check(self) -> None: ...


class Lab:
    """
    The endpoint, as its operator and as its administrator.
    """

    def __init__(self, config: LabConfig) -> None:
        self.config = config
        self.faults = Faults(config.state_dir)
        self.place = Place(config.region, config.endpoint_url, str(config.credentials_file))
        self.client = functools.cache(self.place.client)
        url, region = config.endpoint_url, config.region
        keys = credentials.administrator(config)
        # no fault strikes its clients, which see what is true
        self.administrator = functools.cache(
            lambda service: boto3.client(service, region_name=region, endpoint_url=url, **keys)
        )


@contextmanager
def lab_endpoint(home: Path) -> Iterator[Lab]:
    """
    Serve one in a home of its own.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = LabConfig(
        name="no-machines",
        port=port,
        subnet="127.66.0.0/16",  # private, and its gateway is an address of every host
        operator_policies=(str(ROOT / "params" / "iam-policy.json"),),
        operator_tags=("runbook:cluster=geo-diff", "runbook:vpc=@default-vpc"),
    )
    config.save()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.endpoint", config.name],
        cwd=ROOT,
        env={"HOME": str(home), "MOTO_EC2_LOAD_DEFAULT_AMIS": "false", "PATH": "/usr/bin:/bin"},
        stderr=(home / "endpoint.log").open("wb"),
    )
    try:
        deadline = time.monotonic() + 120
        while not is_healthy(config):
            log = (home / "endpoint.log").read_text()
            assert process.poll() is None and time.monotonic() < deadline, log
            time.sleep(0.1)
        yield Lab(config)
    finally:
        process.kill()  # nothing of it is kept
        process.wait()


if __name__ == "__main__":
    server.Machines = NoMachines
    server.serve(LabConfig.load(sys.argv[1]))
