"""
Hosts that fail on purpose: each kind is a way to begin and a way to end on one instance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.faults.armed import Fault
from lab.machines.containers import Machines


@dataclass(frozen=True)
class HostKind:
    """
    A kind of fault of a host.

    `begin` and `end` get the machines, the id of an instance and the fault, and return what they
    did; both can be repeated.
    """

    what: str
    begin: Callable[[Machines, str, Fault], str]
    end: Callable[[Machines, str, Fault], str]


def _hang(machines: Machines, instance_id: str, fault: Fault) -> str:
    machines.pause(instance_id)
    return "paused: it answers nothing, and its connections stay open"


def _wake(machines: Machines, instance_id: str, fault: Fault) -> str:
    machines.unpause(instance_id)
    return "runs again"


HOST_KINDS = {
    "hang": HostKind("a host that answers nothing", _hang, _wake),
}
