"""
Signals to a service's processes, sent by their node's engine: killed, hung, woken up.
"""

from collections.abc import Mapping

import docker
from docker.errors import APIError
from docker.models.containers import Container

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import NotFoundError
from runbook_lib.stacks.containers import SERVICE, find_containers, in_stack

_TASK = "com.docker.swarm.task.id"
_STOPPED = "T"


def find_victim(engine: docker.DockerClient, service: str, role: str) -> Container:
    """
    A running container of a service on a node: the one that has run longest.

    Raises
    ------
    NotFoundError
        Where there is none; nothing was broken.
    """
    found = find_containers(engine, service)
    if not found:
        raise NotFoundError(
            f"expected a running container of {service} on {role}, found none",
            next_step="choose a node on which it runs:  docker service ps  tells",
        )
    return min(found, key=lambda c: str(c.attrs["State"]["StartedAt"]))


def task_of(container: Container) -> str:
    """
    The id of the Swarm task that a container is.
    """
    return str(container.labels[_TASK])


def send(container: Container, signal: str) -> None:
    """
    Send a signal to the container's first process.
    """
    container.kill(signal)


def wake(container: Container) -> bool:
    """
    Let a process that was stopped go on; says whether it was there, and stopped.
    """
    try:
        if not _is_stopped(container):
            return False
        container.kill("SIGCONT")
    except APIError:  # it was killed meanwhile, which is what we waited for
        return False
    return True


def _is_stopped(container: Container) -> bool:
    """
    Whether the container's first process stands still (SIGSTOP).
    """
    top = container.top(ps_args="-o pid,stat")
    return any(str(row[1]).startswith(_STOPPED) for row in top.get("Processes") or [])


def wake_up(engines: Mapping[str, docker.DockerClient], stack: str) -> Changes:
    """
    Let every process of a stack that stands still go on; a killed drill may have left one.
    """
    changes = Changes()
    filters = in_stack(stack) | {"status": "running"}
    for role, engine in engines.items():
        for container in engine.containers.list(filters=filters, ignore_removed=True):
            if wake(container):
                changes.add("process", f"{container.labels[SERVICE]} on {role}", "goes on")
    return changes
