"""
The parameters of a lab (name, port, subnet, ...), and the paths and addresses derived from them.
"""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lab.core.errors import LabError
from lab.core.files import replace_file

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
DEFAULT_SUBNET = "172.31.0.0/16"  # AWS's default VPC, hence also moto's


@dataclass(frozen=True)
class LabConfig:
    """
    One lab. Labs whose names, ports and subnets all differ run side by side.

    `docker_host` names the engine that runs the instances; `operator_policies` are paths of
    IAM policy documents for the operator's user (none: administrator), `operator_tags` are that
    user's tags (KEY=VALUE), and `account_policies` are managed policies of the account (NAME=PATH).
    """

    name: str = "geo-diff"
    port: int = 5566
    subnet: str = DEFAULT_SUBNET
    region: str = "us-east-1"
    docker_host: str = "unix:///run/geo-diff-runbook/docker.sock"
    operator_policies: tuple[str, ...] = ()
    operator_tags: tuple[str, ...] = ()
    account_policies: tuple[str, ...] = ()
    instance_image: str = "lab/instance"

    def __post_init__(self) -> None:
        problems = config_problems(self)
        if problems:
            raise LabError(
                f"expected valid parameters of a lab, but {len(problems)} of them are not",
                evidence="; ".join(problems),
                next_step="python -m lab up --help",
            )

    @property
    def cache_dir(self) -> Path:
        """
        The root of everything that may be kept between runs.
        """
        return Path.home() / ".cache" / "geo-diff-runbook"

    @property
    def state_dir(self) -> Path:
        """
        The folder of this lab: lab.json, lab.lock, lab.log, state.pickle, credentials.
        """
        return state_dir_of(self.name)

    @property
    def lock_file(self) -> Path:
        return self.state_dir / "lab.lock"

    @property
    def state_file(self) -> Path:
        return self.state_dir / "state.pickle"

    @property
    def credentials_file(self) -> Path:
        """
        An AWS credentials file: [default] is the operator, [administrator] may do everything.
        """
        return self.state_dir / "credentials"

    @property
    def network(self) -> str:
        """
        The name of the Docker network that plays the default VPC.
        """
        return f"lab-{self.name}"

    @property
    def label(self) -> str:
        """
        The Docker label (key=value) on everything that belongs to this lab.
        """
        return f"lab={self.name}"

    @property
    def metadata_port(self) -> int:
        """
        Where the gateway serves metadata: apart from S3, so that the firewall can tell them apart.
        """
        return self.port + 1 if self.port < 65535 else self.port - 1

    @property
    def gateway(self) -> str:
        """
        The host, as the instances see it. AWS's router has this address, so no instance gets it.
        """
        return self._address(1)

    @property
    def mirror_address(self) -> str:
        """
        The registry mirror. AWS reserves .2 of a VPC for its resolver, so no instance gets it.
        """
        return self._address(2)

    @property
    def mirror_url(self) -> str:
        return f"http://{self.mirror_address}:5000"

    @property
    def public_pool(self) -> str:
        """
        The upper half of the subnet: it plays the public addresses, translated 1:1.

        The default subnets, one /20 for each zone, lie in the lower half.
        """
        return str(list(ipaddress.ip_network(self.subnet).subnets(prefixlen_diff=1))[1])

    @property
    def dynamic_range(self) -> str:
        """
        Addresses that Docker may assign by itself: between the default subnets and the pool.
        """
        return f"{self._address(0x7000)}/20"

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def guest_endpoint_url(self) -> str:
        """
        The same server for the instances: instance metadata and S3 only.
        """
        return f"http://{self.gateway}:{self.port}"

    def save(self) -> None:
        """
        Write lab.json, so that a later command finds this lab by its name alone.
        """
        self.state_dir.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=2) + "\n"
        replace_file(self.state_dir / "lab.json", text.encode())

    @classmethod
    def load(cls, name: str) -> LabConfig:
        """
        Read the lab.json of the lab called `name`; LabError when there is none or it is broken.
        """
        path = state_dir_of(name) / "lab.json"
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as exc:
            raise LabError(
                f"expected a lab named {name!r}, but there is none",
                evidence=f"{path} does not exist",
                next_step=f"python -m lab up --name {name}",
            ) from exc
        except ValueError as exc:
            raise _broken(path, name, str(exc)) from exc
        known = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or not values.keys() <= known:
            raise _broken(path, name, "it has keys that no lab has")
        texts: dict[str, Any] = {k: tuple(v) if type(v) is list else v for k, v in values.items()}
        return cls(**texts)

    def _address(self, offset: int) -> str:
        return str(ipaddress.ip_network(self.subnet)[offset])


def state_dir_of(name: str) -> Path:
    return Path.home() / ".cache" / "geo-diff-runbook" / "labs" / name


def config_problems(config: LabConfig) -> list[str]:
    """
    One sentence for each parameter that is wrong; empty when all are valid.
    """
    problems = []
    if not NAME_PATTERN.fullmatch(config.name):
        problems.append(f"name {config.name!r} is not 1-31 of a-z, 0-9 and -")
    if type(config.port) is not int or not 1024 <= config.port <= 65535:
        problems.append(f"port {config.port!r} is not a number between 1024 and 65535")
    try:
        subnet = ipaddress.ip_network(config.subnet)
    except ValueError as exc:
        problems.append(f"subnet {config.subnet!r} is not a network ({exc})")
    else:
        if subnet.version != 4 or subnet.prefixlen != 16 or not subnet.is_private:
            problems.append(f"subnet {config.subnet} is not a private IPv4 /16")
    if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", config.region):
        problems.append(f"region {config.region!r} is not the name of a region, such as us-east-1")
    if not re.match(r"(unix|tcp|ssh)://.", config.docker_host):
        problems.append(f"docker_host {config.docker_host!r} is not unix://, tcp:// or ssh://")
    for path in config.operator_policies:
        problems += _policy_problems("operator_policy", path)
    problems += [
        f"tag {tag!r} is not KEY=VALUE"
        for tag in config.operator_tags
        if not re.match("[^=]+=", tag)
    ]
    for text in config.account_policies:
        name, _, path = text.partition("=")
        if not re.fullmatch(r"[\w+=,.@-]+", name, re.ASCII) or not path:
            problems.append(f"account policy {text!r} is not NAME=FILE")
        else:
            problems += _policy_problems(name, path)
    return problems


def _policy_problems(name: str, path: str) -> list[str]:
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        return [f"{name} {path} cannot be read as JSON ({exc})"]
    if not isinstance(document, dict) or "Statement" not in document:
        return [f"{name} {path} has no Statement"]
    return []


def _broken(path: Path, name: str, evidence: str) -> LabError:
    return LabError(
        f"expected {path} to describe a lab, but it does not",
        evidence=evidence,
        next_step=f"python -m lab down --name {name}",
    )
