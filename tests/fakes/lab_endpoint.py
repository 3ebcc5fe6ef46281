"""
The lab's AWS endpoint in a process of its own, whose instances are records without machines.

A process, because the lab replaces parts of moto for good.
"""

import json
import os
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from lab.core.config import LabConfig
from tests.places import ROOT

POLICIES = ("iam-policy.json", "iam-policy-tiles-on-s3.json")
TAGS = ("runbook:cluster=geo-diff", "runbook:vpc=@default-vpc")


@dataclass(frozen=True)
class Endpoint:
    """
    A running endpoint, with clients of its users.
    """

    url: str
    credentials_file: str

    def client(self, service: str, profile: str = "default", region: str = "us-east-1") -> Any:
        session = boto3.Session(botocore_session=self._session(profile), region_name=region)
        return session.client(
            service, endpoint_url=self.url, config=Config(retries={"max_attempts": 0})
        )

    def role_client(self, service: str, instance_id: str) -> Any:
        """
        A client with the keys that the metadata service gives to an instance.
        """
        with urllib.request.urlopen(f"{self.url}/role-keys/{instance_id}") as answer:
            keys = json.load(answer)
        return self.keys_client(service, keys | {"SessionToken": keys["Token"]})

    def keys_client(self, service: str, keys: Any) -> Any:
        """
        A client with the keys of a session.
        """
        return boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=self.url,
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
        )

    def _session(self, profile: str) -> Any:
        session = botocore.session.Session(profile=profile)
        session.set_config_variable("credentials_file", self.credentials_file)
        return session


@contextmanager
def lab_endpoint(folder: Path, **given: Any) -> Iterator[Endpoint]:
    """
    Serve a lab from a folder; its operator has the runbook's policies and tags unless told others.
    """
    params = ROOT / "params"
    usual = {
        "operator_policies": tuple(str(params / name) for name in POLICIES),
        "operator_tags": TAGS,
        "account_policies": (f"runbook-tiles={params / 'iam-role-of-the-tiles.json'}",),
    }
    state = folder / ".cache" / "geo-diff-runbook" / "labs" / LabConfig.name
    state.mkdir(parents=True, exist_ok=True)
    config = replace(LabConfig(), **usual | given)
    (state / "lab.json").write_text(json.dumps(asdict(config)))
    command = [sys.executable, "-m", "tests.fakes.paper_lab", config.name]
    environment = {**os.environ, "HOME": str(folder), "MOTO_EC2_LOAD_DEFAULT_AMIS": "false"}
    with Popen(command, cwd=ROOT, env=environment, stdin=PIPE, stdout=PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            ready = server.stdout.readline()
            assert ready, "the endpoint did not start"
            yield Endpoint(**json.loads(ready))
        finally:
            server.kill()
