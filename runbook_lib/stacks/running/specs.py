"""
Service specifications: found, compared, and written as they are: the SDK's `update` would rebuild
them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import docker

from runbook_lib.core.errors import CommandError
from runbook_lib.stacks.running.containers import find_services

Spec = dict[str, Any]


def find_specs(manager: docker.DockerClient, stack: str) -> dict[str, Spec]:
    """
    Find the specifications of a stack's services, by their names in the stack.
    """
    services = find_services(manager, stack)
    return {str(s.name).removeprefix(f"{stack}_"): s.attrs["Spec"] for s in services}


def find_specs_in_use(manager: docker.DockerClient) -> list[Spec]:
    """
    Find the specifications of all services, and those before an update that has not completed:
    tasks may still run them, and Swarm may go back to them.
    """
    specs = []
    for service in (one.attrs for one in manager.services.list()):
        specs.append(service["Spec"])
        before = service.get("PreviousSpec")
        if before and (service.get("UpdateStatus") or {}).get("State") != "completed":
            specs.append(before)
    return specs


def changed_services(
    before: Mapping[str, Spec], now: Mapping[str, Spec], *, mode: bool = False
) -> list[str]:
    """
    Return the services whose specifications differ; `mode` includes the number of replicas.
    """

    def fields(spec: Spec | None) -> Spec | None:
        return {k: v for k, v in spec.items() if mode or k != "Mode"} if spec else None

    return sorted(
        n for n in before.keys() | now.keys() if fields(before.get(n)) != fields(now.get(n))
    )


def scale(manager: docker.DockerClient, service: str, replicas: int) -> None:
    """
    Set the number of replicas, and change nothing else.
    """
    mode = {"Replicated": {"Replicas": replicas}}
    _update(manager, service, lambda spec: {**spec, "Mode": mode})


def set_spec(manager: docker.DockerClient, service: str, spec: Spec) -> None:
    """
    Replace a service's specification.
    """
    _update(manager, service, lambda _: spec)


def create_service(manager: docker.DockerClient, spec: Spec) -> None:
    """
    Create a service with exactly this specification.
    """
    api = manager.api
    url = f"{api.base_url}/v{api.api_version}/services/create"
    response = api.post(url, json=spec, timeout=60)
    if not response.ok:
        raise CommandError(
            f"expected Swarm to create {spec['Name']}",
            evidence=f"{response.status_code} {response.text.strip()}",
        )


def running(manager: docker.DockerClient, service: str) -> int:
    """
    Count the running tasks of a service, including those about to stop.

    The Swarm lists tasks on a node that is down as running; these do not count.
    """
    tasks = manager.api.tasks(filters={"service": service})
    states = {node["ID"]: node["Status"]["State"] for node in manager.api.nodes()}
    return sum(
        task["Status"]["State"] == "running" and states.get(task.get("NodeID", "")) != "down"
        for task in tasks
    )


def _update(manager: docker.DockerClient, service: str, change: Callable[[Spec], Spec]) -> None:
    api = manager.api
    for attempt in range(5):
        current = api.inspect_service(service)
        url = f"{api.base_url}/v{api.api_version}/services/{current['ID']}/update"
        version = {"version": current["Version"]["Index"]}
        response = api.post(url, params=version, json=change(current["Spec"]), timeout=60)
        if response.ok:
            return
        # repeat if the service was updated between read and write
        if "out of sequence" not in response.text or attempt == 4:
            raise CommandError(
                f"expected Swarm to update {service}",
                evidence=f"{response.status_code} {response.text.strip()}",
            )
