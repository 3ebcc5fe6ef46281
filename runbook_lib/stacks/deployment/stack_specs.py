"""
The specifications of a stack's services: those that run, and how they differ from others.
"""

from collections.abc import Mapping
from typing import Any

import docker

from runbook_lib.stacks.compose.rendering import LIVE_REPLICAS, OVERLAYS
from runbook_lib.stacks.running.containers import find_services
from runbook_lib.stacks.running.specs import Spec


def find_live_specs(manager: docker.DockerClient, stack: str) -> dict[str, Spec]:
    """
    Find the specifications that run now, by the services' full names.
    """
    return {str(s.name): s.attrs["Spec"] for s in find_services(manager, stack)}


def differing_services(one: Mapping[str, Spec], other: Mapping[str, Spec]) -> list[str]:
    """
    Return the services that differ, apart from the replicas that an autoscaler sets.
    """
    names = sorted(one.keys() | other.keys())
    return [n for n in names if _settled(one.get(n)) != _settled(other.get(n))]


def overlays_of(specs: Mapping[str, Spec]) -> list[str]:
    """
    Return the overlays of the deployed services, in order.
    """
    # an interrupted deployment reached only some services: the longer list is the newer one
    labels = [(spec.get("Labels") or {}).get(OVERLAYS, "") for spec in specs.values()]
    return list(filter(None, max(labels, key=len, default="").split(",")))


def networks_used(spec: Spec) -> list[dict[str, Any]]:
    """
    Return the networks of a service, as its specification names them.
    """
    # those of a service were in the specification itself until API 1.25
    return [*(spec["TaskTemplate"].get("Networks") or []), *(spec.get("Networks") or [])]


def is_autoscaled(spec: Spec) -> bool:
    """
    Check whether an autoscaler sets the number of replicas.
    """
    return "Replicated" in spec["Mode"] and LIVE_REPLICAS.items() <= spec["Labels"].items()


def _settled(spec: Spec | None) -> Spec | None:
    return {**spec, "Mode": "live"} if spec and is_autoscaled(spec) else spec
