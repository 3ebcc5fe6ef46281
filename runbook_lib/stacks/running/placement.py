"""
Placement as Swarm decides it: constraints and capacity, from plain records of nodes.

Source: `manager/constraint` and `manager/scheduler` of moby/swarmkit. Keys and values ignore case,
the name of a label does not; a missing label equals "".
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

Node = Mapping[str, Any]
"""A node as the Engine API describes it."""

_KEY = re.compile(r"[a-z_][a-z0-9\-_.]+", re.IGNORECASE)
_VALUE = re.compile(r"[a-z0-9:\-_\s.*()?+\[\]\\^$|/]+", re.IGNORECASE)
_FIELDS: dict[str, tuple[str, ...]] = {
    "node.id": ("ID",),
    "node.hostname": ("Description", "Hostname"),
    "node.ip": ("Status", "Addr"),
    "node.role": ("Spec", "Role"),
    "node.platform.os": ("Description", "Platform", "OS"),
    "node.platform.arch": ("Description", "Platform", "Architecture"),
}
_LABELS = {
    "node.labels.": ("Spec", "Labels"),
    "engine.labels.": ("Description", "Engine", "Labels"),
}
KEYS = (*_FIELDS, *_LABELS)
"""The keys of constraints; those of labels go on with a name."""


@dataclass(frozen=True)
class Constraint:
    """
    One placement constraint: `key` `operator` `value`.
    """

    key: str
    operator: str
    value: str

    def __str__(self) -> str:
        return f"{self.key} {self.operator} {self.value}"

    @property
    def is_known(self) -> bool:
        return self.key.lower() in _FIELDS or self.key.lower().startswith(tuple(_LABELS))

    def meets(self, node: Node) -> bool:
        """
        Check whether a node meets it; none meets a key that Swarm does not know.
        """
        if not self.is_known:
            return False
        actual = read_key(node, self.key)
        same = actual.lower() == self.value.lower() or self._covers(actual)
        return same == (self.operator == "==")

    def _covers(self, actual: str) -> bool:
        if self.key.lower() != "node.ip" or not actual:
            return False
        try:
            return ip_address(actual) in ip_network(self.value, strict=False)
        except ValueError:
            return False


def parse(text: str) -> Constraint | None:
    """
    Parse a constraint; None for one that Swarm refuses.
    """
    for operator in ("==", "!="):
        key, found, value = (part.strip() for part in text.partition(operator))
        if found:
            valid = _KEY.fullmatch(key) and _VALUE.fullmatch(value)
            return Constraint(key, operator, value) if valid else None
    return None


def read_key(node: Node, key: str) -> str:
    """
    Return a node's value for the key of a constraint; "" if it has none.
    """
    if path := _FIELDS.get(key.lower()):
        return str(_read(node, path) or "")
    prefix = next((p for p in _LABELS if key.lower().startswith(p)), "")
    labels = _read(node, _LABELS[prefix]) if prefix else None
    return str((labels or {}).get(key[len(prefix) :], ""))


def constraints_of(template: Mapping[str, Any]) -> list[str]:
    """
    Return the constraints of a task template.
    """
    return list((template.get("Placement") or {}).get("Constraints") or [])


def labels_like(node: Node, key: str) -> list[str]:
    """
    Return the names of a node's labels, those of the Swarm or of its engine as the key says.
    """
    prefix = next((p for p in _LABELS if key.lower().startswith(p)), "node.labels.")
    return list(_read(node, _LABELS[prefix]) or {})


def find_matching(nodes: Iterable[Node], constraints: Iterable[str]) -> list[Node]:
    """
    Find the nodes that meet every constraint, in whatever state they are.
    """
    parsed = [parse(text) for text in constraints]
    return [node for node in nodes if all(c is not None and c.meets(node) for c in parsed)]


def is_open(node: Node) -> bool:
    """
    Check whether Swarm starts tasks on a node now.
    """
    ready = _read(node, ("Status", "State")) == "ready"
    return ready and (_read(node, ("Spec", "Availability")) or "active") == "active"


def capacity(node: Node) -> tuple[int, int] | None:
    """
    Return a node's NanoCPUs and bytes of memory; None if it has not reported them.
    """
    resources = _read(node, ("Description", "Resources")) or {}
    whole = resources.get("NanoCPUs", 0), resources.get("MemoryBytes", 0)
    return whole if all(whole) else None


def why_never(template: Mapping[str, Any], nodes: Sequence[Node]) -> str:
    """
    Return why no node can ever run a task, even if all were up, active and empty; "" if one can.
    """
    constraints = constraints_of(template)
    matching = find_matching(nodes, constraints)
    if not matching:
        return f"no node meets {' and '.join(constraints)}" if nodes and constraints else ""
    asked = (template.get("Resources") or {}).get("Reservations") or {}
    cpus, memory = asked.get("NanoCPUs", 0), asked.get("MemoryBytes", 0)
    whole = [capacity(node) for node in matching]
    if any(w is None or (cpus <= w[0] and memory <= w[1]) for w in whole):
        return ""
    return f"no node has the {amount(cpus, memory)} that it reserves"


def amount(cpus: float, memory: float) -> str:
    """
    Return NanoCPUs and bytes of memory in words.
    """
    size = f"{memory / 2**20:.0f} MiB" if memory >= 2**20 else f"{memory:.0f} bytes"
    parts = [f"{cpus / 1e9:g} CPUs"] * bool(cpus) + [size] * bool(memory)
    return " and ".join(parts) or "nothing"


def _read(record: Mapping[str, Any], path: Sequence[str]) -> Any:  # noqa: ANN401 - any JSON value
    for key in path:
        record = record.get(key) or {}
    return record or None
