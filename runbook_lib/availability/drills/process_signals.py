"""
A service's process on a node: the target of a drill's signal, and how it is resumed.
"""

from collections.abc import Mapping

import docker
from docker.errors import APIError
from docker.models.containers import Container

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import NotFoundError
from runbook_lib.stacks.containers import SERVICE, find_containers, in_stack

_STOPPED = "T"


def get_oldest_container(engine: docker.DockerClient, service: str, role: str) -> Container:
    """
    The container of a service on a node that has run longest.

    Raises
    ------
    NotFoundError
        Where none runs.
    """
    running = find_containers(engine, service)
    if not running:
        raise NotFoundError(
            f"expected a running container of {service} on {role}, found none",
            next_step=f"choose a node that runs one:  docker service ps {service}",
        )
    return min(running, key=lambda c: str(c.attrs["State"]["StartedAt"]))


def resume_process(container: Container, role: str) -> Changes:
    """
    Send SIGCONT to a process that was stopped by SIGSTOP.
    """
    changes = Changes()
    try:
        processes = container.top(ps_args="-o pid,stat").get("Processes") or []
        if any(str(row[1]).startswith(_STOPPED) for row in processes):
            container.kill("SIGCONT")
            changes.add("process", f"{container.labels[SERVICE]} on {role}", "resumed")
    except APIError:  # it was killed meanwhile, as the drill expects
        pass
    return changes


def resume_processes(engines: Mapping[str, docker.DockerClient], stack: str) -> Changes:
    """
    Resume every stopped process of a stack: a killed drill may have left one.
    """
    changes = Changes()
    filters = {**in_stack(stack), "status": "running"}
    for role, engine in engines.items():
        for container in engine.containers.list(filters=filters, ignore_removed=True):
            changes.extend(resume_process(container, role))
    return changes
