"""
Specifications of services, read and written word for word: what the SDK's `update` would rebuild.
"""

from collections.abc import Callable, Mapping
from typing import Any

import docker

from runbook_lib.core.errors import CommandError
from runbook_lib.stacks.containers import find_services

Spec = dict[str, Any]
_TRIES = 5


def find_specs(manager: docker.DockerClient, stack: str) -> dict[str, Spec]:
    """
    The specifications of a stack's services, by their names in the stack.
    """
    services = find_services(manager, stack)
    return {str(s.name).removeprefix(f"{stack}_"): s.attrs["Spec"] for s in services}


def differences(before: Mapping[str, Spec], now: Mapping[str, Spec]) -> list[str]:
    """
    The services whose specifications differ, their numbers of replicas aside.
    """
    names = before.keys() | now.keys()
    return sorted(n for n in names if _but_mode(before.get(n)) != _but_mode(now.get(n)))


def scale(manager: docker.DockerClient, service: str, replicas: int) -> None:
    """
    Ask for so many replicas, and change nothing else.
    """

    def change(spec: Spec) -> Spec:
        return {**spec, "Mode": {"Replicated": {"Replicas": replicas}}}

    _update(manager, service, change)


def set_spec(manager: docker.DockerClient, service: str, spec: Spec) -> None:
    """
    Give a service a specification, word for word; the SDK's `update` would add its own.
    """
    _update(manager, service, lambda _: spec)


def running(manager: docker.DockerClient, service: str) -> int:
    """
    How many tasks of a service run, be they wanted or on their way out.

    Those of a node that is down are told as running until it is back: they do not count.
    """
    tasks = manager.api.tasks(filters={"service": service})
    states = {node["ID"]: node["Status"]["State"] for node in manager.api.nodes()}
    return sum(
        task["Status"]["State"] == "running" and states.get(task.get("NodeID", "")) != "down"
        for task in tasks
    )


def _update(manager: docker.DockerClient, service: str, change: Callable[[Spec], Spec]) -> None:
    """
    Read, change, write; again where somebody else wrote in between.
    """
    api = manager.api
    for attempt in range(_TRIES):
        found = api.inspect_service(service)
        url = f"{api.base_url}/v{api.api_version}/services/{found['ID']}/update"
        version = {"version": found["Version"]["Index"]}
        response = api.post(url, params=version, json=change(found["Spec"]), timeout=60)
        if response.ok:
            return
        if "out of sequence" not in response.text or attempt == _TRIES - 1:
            raise CommandError(
                f"expected Swarm to update {service}",
                evidence=f"{response.status_code} {response.text.strip()}",
            )


def _but_mode(spec: Spec | None) -> Spec | None:
    return {key: value for key, value in spec.items() if key != "Mode"} if spec else None
