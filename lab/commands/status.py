"""
Show what a lab runs, as the host, the engine and the EC2 API report it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import boto3
import docker
from botocore.exceptions import BotoCoreError, ClientError
from docker.errors import DockerException

from lab.aws import credentials
from lab.commands import server_process
from lab.core.config import LabConfig, state_dir_of
from lab.images import registry_mirror

HEAD = ("instance", "name", "type", "state", "private", "public", "groups")


def show_status(name: str) -> bool:
    """
    Print what runs. True if the lab is up: engine, server and mirror answer.
    """
    if not (state_dir_of(name) / "lab.json").exists():
        sys.stdout.write(f"The lab {name} is down: it does not exist.\n")
        return False
    config = LabConfig.load(name)
    engine = engine_version(config)
    server = server_process.is_healthy(config)
    mirror = registry_mirror.mirror_answers(config)
    pids = ", ".join(map(str, server_process.server_pids(name))) or "no process"
    rows = [
        ("engine", f"Docker {engine}" if engine else "does not answer", config.docker_host),
        ("server", "up" if server else "down", f"{config.endpoint_url} ({pids})"),
        ("mirror", "up" if mirror else "down", f"{config.mirror_url}"),
        (
            "network",
            config.subnet,
            f"{config.network}, instances see this host as {config.gateway}",
        ),
    ]
    sys.stdout.write(table(rows))
    if server:
        sys.stdout.write("\n" + _instances(config))
    is_up = bool(engine) and server and mirror
    sys.stdout.write(f"\nThe lab {name} is {'up' if is_up else 'not up: python -m lab up'}.\n")
    return is_up


def engine_version(config: LabConfig) -> str:
    """
    The version of the lab's engine; empty when it does not answer.
    """
    try:
        return str(docker.DockerClient(config.docker_host, timeout=10).version()["Version"])
    except (DockerException, OSError):
        return ""


def table(rows: Iterable[tuple[str, ...]]) -> str:
    """
    Rows in columns as wide as their widest cell.
    """
    lines = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    texts = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
    return "".join(f"{text}\n" for text in texts)


def instance_row(instance: dict[str, Any]) -> tuple[str, ...]:
    tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
    return (
        instance["InstanceId"],
        tags.get("Name", "-"),
        instance["InstanceType"],
        instance["State"]["Name"],
        instance.get("PrivateIpAddress", "-"),
        instance.get("PublicIpAddress") or "-",
        ",".join(group["GroupName"] for group in instance["SecurityGroups"]) or "-",
    )


def _instances(config: LabConfig) -> str:
    ec2 = boto3.client(
        "ec2",
        endpoint_url=config.endpoint_url,
        region_name=config.region,
        **credentials.administrator(config),
    )
    try:
        reservations = ec2.describe_instances()["Reservations"]
    except (BotoCoreError, ClientError) as exc:
        return f"The EC2 API does not list the instances: {exc}\n"
    instances = [instance for one in reservations for instance in one["Instances"]]
    if not instances:
        return "no instances\n"
    return table([HEAD, *(instance_row(dict(instance)) for instance in instances)])
