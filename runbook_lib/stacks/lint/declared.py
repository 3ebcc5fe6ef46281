"""
A service of a stack file in Swarm's terms: amounts in numbers, ports and placement as lists.

What Docker refuses is skipped here: its own message is better.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from runbook_lib.stacks.compose.rendering import keeps_replicas
from runbook_lib.stacks.compose.stack_file import StackFile
from runbook_lib.stacks.lint.facts import ClusterFacts

_SIZE = re.compile(r"([\d.]+)\s*([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_PART = re.compile(r"([\d.]+)(ms|us|µs|ns|h|m|s)")
_SECONDS = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PORT = re.compile(
    r"(?:(?:\[.*\]|[\d.]+):)?(?P<first>\d{1,5})(?:-(?P<last>\d{1,5}))?:[\d-]+(?:/(?P<protocol>\w+))?"
)


@dataclass(frozen=True)
class Port:
    """
    A published port; `index` is its place in the list of the file.
    """

    protocol: str
    published: int
    is_host: bool
    index: int = 0

    def __str__(self) -> str:
        return f"{self.protocol}/{self.published}"


@dataclass(frozen=True)
class Declared:
    """
    What a service needs of a cluster; CPUs as NanoCPUs, memory in bytes.

    `replicas` is None for a service on every node; `name` is the one in the file, or the full one
    of a service of another stack.
    """

    name: str
    constraints: tuple[str, ...]
    replicas: int | None
    reserved: tuple[float, float]
    limits: tuple[float, float]
    ports: tuple[Port, ...]
    spread: tuple[str, ...] = ()
    most_per_node: int = 0
    starts_first: bool = False


def find_declared(stack: StackFile, name: str, facts: ClusterFacts) -> list[Declared]:
    """
    Find the services of a stack file that is deployed under a name.
    """
    found = []
    for service, spec in stack.services.items():
        deploy = spec.get("deploy") or {}
        replicas = int(_number(deploy.get("replicas", 1)))
        if keeps_replicas(spec):
            live = facts.find_live(f"{name}_{service}").get("Mode") or {}
            replicas = (live.get("Replicated") or {}).get("Replicas") or replicas
        resources = deploy.get("resources") or {}
        placement = deploy.get("placement") or {}
        preferences = placement.get("preferences") or []
        found.append(
            Declared(
                service,
                tuple(map(str, placement.get("constraints") or ())),
                None if str(deploy.get("mode")).startswith("global") else replicas,
                _amounts(resources.get("reservations")),
                _amounts(resources.get("limits")),
                tuple(_ports(spec.get("ports") or [])),
                tuple(str(preference.get("spread", "")) for preference in preferences),
                int(_number(placement.get("max_replicas_per_node"))),
                (deploy.get("update_config") or {}).get("order") == "start-first",
            )
        )
    return found


def find_deployed(stack: str, facts: ClusterFacts) -> list[Declared]:
    """
    Find the services that run beside a stack.
    """
    found = []
    for spec in facts.others(stack):
        template, mode = spec["TaskTemplate"], spec["Mode"]
        resources = template.get("Resources") or {}
        replicas = (mode.get("Replicated") or {}).get("Replicas", 0)
        ports = (spec.get("EndpointSpec") or {}).get("Ports") or []
        found.append(
            Declared(
                spec["Name"],
                tuple((template.get("Placement") or {}).get("Constraints") or ()),
                None if "Global" in mode else replicas,
                _nano(resources.get("Reservations")),
                _nano(resources.get("Limits")),
                tuple(
                    Port(p["Protocol"], p["PublishedPort"], p.get("PublishMode") == "host")
                    for p in ports
                    if p.get("PublishedPort")
                ),
            )
        )
    return found


def seconds(text: object) -> float:
    """
    Return a duration of a Compose file, such as 1m30s, in seconds; 0 if there is none.
    """
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(str(text or "")))


def _number(value: object) -> float:
    text = str(value or 0)
    if len(text) > 40 or re.search(r"e[-+]?[\d_]{4}", text, re.IGNORECASE):
        return 0.0  # it takes long to read, and Docker takes none so large
    try:
        return float(Fraction(text))  # Docker takes 1/2 CPUs, too
    except (ValueError, ZeroDivisionError, OverflowError):
        return 0.0


def _amounts(resources: Mapping[str, Any] | None) -> tuple[float, float]:
    asked = resources or {}
    size = _SIZE.fullmatch(str(asked.get("memory") or 0))
    power = "_kmgtp".index(size[2].lower() or "_") if size else 0
    memory = _number(size[1]) * 1024**power if size else 0.0
    return _number(asked.get("cpus")) * 1e9, memory


def _nano(resources: Mapping[str, Any] | None) -> tuple[float, float]:
    asked = resources or {}
    return asked.get("NanoCPUs", 0), asked.get("MemoryBytes", 0)


def _ports(ports: list[Any]) -> Iterator[Port]:
    for index, entry in enumerate(ports):
        if isinstance(entry, Mapping):
            published, protocol = str(entry.get("published") or 0), entry.get("protocol") or "tcp"
            if published.isdecimal() and len(published) < 6 and int(published):
                yield Port(protocol, int(published), entry.get("mode") == "host", index)
        elif match := _PORT.fullmatch(str(entry)):
            for number in range(int(match["first"]), int(match["last"] or match["first"]) + 1):
                yield Port(match["protocol"] or "tcp", number, False, index)
