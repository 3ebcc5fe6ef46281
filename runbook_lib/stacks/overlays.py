"""
The overlay files of a deployed stack, and the volumes that it leaves behind on every node.

A solution that is switched on is an overlay of the stack file. The Swarm has its name in a label,
so that the next deployment of the stack keeps it.
"""

from collections.abc import Collection, Mapping

import docker

from runbook_lib.core.changes import Changes
from runbook_lib.core.parallel import for_each
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.stacks.containers import find_services, in_stack
from runbook_lib.stacks.stack_file import OVERLAYS


def find_overlays(manager: docker.DockerClient, stack: str) -> list[str]:
    """
    The overlays with which a stack was deployed, in their order.
    """
    services = find_services(manager, stack)
    labels = [service.attrs["Spec"]["Labels"].get(OVERLAYS, "") for service in services]
    # an interrupted deployment has reached some of the services: the longer list is the newer
    return max(labels, key=len, default="").split(",") if any(labels) else []


def remove_volumes(
    clients: Mapping[str, docker.DockerClient],
    stack: str,
    names: Collection[str] = (),
    timeout_s: float = 60,
) -> Changes:
    """
    Remove a stack's volumes on every node; with `names` (as in the stack file) only those.

    Swarm keeps the stopped containers of earlier tasks, which keep the volume: they are removed
    first. Running ones are waited for.
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

        wait_for(f"Volumes of {stack} removed on {role}", probe, timeout_s=timeout_s)

    for_each("Volumes removed", {role: role for role in clients}, one)
    return changes


def _used(client: docker.DockerClient, names: Collection[str]) -> set[str]:
    """
    The volumes in use by a running container; stopped containers with any of them are removed.
    """
    used = set()
    for container in client.api.containers(all=True) if names else []:
        mounted = {mount.get("Name") for mount in container.get("Mounts", [])} & set(names)
        if mounted and container["State"] in ("exited", "created", "dead"):
            client.api.remove_container(container["Id"])
        else:
            used |= mounted
    return used
