"""
Removal of a stack: its services, volumes and history, and waiting until they are gone.
"""

import shlex
from collections.abc import Collection, Mapping
from typing import Any

import docker
import fabric

from runbook_lib.core.changes import Changes
from runbook_lib.core.parallel import for_each
from runbook_lib.core.wait import Pending, wait_for, wait_until_none
from runbook_lib.hosts.ssh import run
from runbook_lib.stacks.deployment.history import remove_history
from runbook_lib.stacks.running.containers import find_services, in_stack
from runbook_lib.stacks.running.service_tables import find_live_tasks


def remove_stack(
    connection: fabric.Connection | None, manager: docker.DockerClient | None, name: str
) -> Changes:
    """
    Remove the stack, its volumes and its history; wait until its tasks and networks are gone, too.

    `docker stack rm` returns earlier, and a deployment right after it fails. None means that the
    manager is gone.
    """
    changes = Changes()
    if connection is None or manager is None:
        return changes
    services = find_services(manager, name)
    if services or manager.networks.list(filters=in_stack(name)):
        run(connection, f"docker stack rm {shlex.quote(name)} 2>&1", sudo=True)
    for service in services:
        changes.add("service", str(service.name), "removed")

    def probe() -> bool | Pending:
        tasks = find_live_tasks(manager, name)
        networks = manager.networks.list(filters=in_stack(name))
        left = len(tasks) + len(_containers(manager, name)) + len(networks)
        return Pending(f"{left} tasks and networks left") if left else True

    wait_for(f"Stack {name} removed", probe, timeout_s=120)
    for volume in manager.volumes.list(filters=in_stack(name)):
        volume.remove()
        changes.add("volume", str(volume.name), "removed")
    changes.extend(remove_history(manager, name))
    return changes


def wait_for_no_containers(clients: Mapping[str, docker.DockerClient], name: str) -> list[str]:
    """
    Wait until no engine has a container of the stack, running or stopped; return those left.
    """

    def find() -> list[str]:
        listed = [(c, role) for role, client in clients.items() for c in _containers(client, name)]
        return [f"{container['Names'][0]} on {role}" for container, role in listed]

    return wait_until_none(f"No container of {name} is left", find, timeout_s=60)


def remove_volumes(
    clients: Mapping[str, docker.DockerClient], stack: str, names: Collection[str] = ()
) -> Changes:
    """
    Remove a stack's volumes on every node; with `names` (as in the stack file) only those.

    Swarm keeps stopped containers of earlier tasks, which block the removal: they are removed
    first. Running containers are waited for.
    """
    changes = Changes()
    wanted = {f"{stack}_{name}" for name in names}

    def one(role: str) -> None:
        def probe() -> bool | Pending:
            listed = clients[role].volumes.list(filters=in_stack(stack))
            mine = {str(v.name): v for v in listed if not wanted or v.name in wanted}
            used = _used(clients[role], mine)
            for name in sorted(mine.keys() - used):
                mine[name].remove()
                changes.add("volume", name, f"removed on {role}")
            return Pending(f"in use on {role}: {', '.join(sorted(used))}") if used else True

        wait_for(f"Volumes of {stack} removed on {role}", probe, timeout_s=60)

    for_each("Volumes removed", {role: role for role in clients}, one)
    return changes


def _containers(client: docker.DockerClient, name: str) -> list[dict[str, Any]]:
    # as listed, not inspected one by one: some may disappear in between
    return list(client.api.containers(all=True, filters=in_stack(name)))


def _used(client: docker.DockerClient, names: Collection[str]) -> set[str]:
    """
    Find volumes in use by running containers; remove stopped containers that use the volumes.
    """
    used = set()
    for container in client.api.containers(all=True) if names else []:
        mounted = {mount.get("Name") for mount in container.get("Mounts", [])} & set(names)
        if mounted and container["State"] in ("exited", "created", "dead"):
            client.api.remove_container(container["Id"])
        else:
            used |= mounted
    return used
