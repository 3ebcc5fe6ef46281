"""
What is laid over a deployed stack, and the volumes that it leaves behind on every node.

A solution that is switched on is an overlay of the stack file. Nobody hands its name on: the Swarm
has it in a label, so that whoever deploys the stack again deploys it with its solutions.
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
    The overlays with which a stack was deployed, in their order; none where it is not deployed.
    """
    services = find_services(manager, stack)
    labels = [service.attrs["Spec"]["Labels"].get(OVERLAYS, "") for service in services]
    # a deployment that was cut off has reached some of the services: the longer list is the newer
    return max(labels, key=len, default="").split(",") if any(labels) else []


def remove_volumes(
    clients: Mapping[str, docker.DockerClient],
    stack: str,
    names: Collection[str] = (),
    timeout_s: float = 60,
) -> Changes:
    """
    Remove a stack's volumes on every node; with `names` (as in the stack file) only those.

    Swarm keeps the stopped containers of earlier tasks, and they keep the volume: they go too. One
    that is about to stop is waited for.
    """
    changes = Changes()
    wanted = {f"{stack}_{name}" for name in names}

    def one(role: str) -> None:
        def probe() -> bool | Pending:
            found = clients[role].volumes.list(filters=in_stack(stack))
            mine = {
                str(volume.name): volume for volume in found if not wanted or volume.name in wanted
            }
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
    The volumes that a running container has; stopped ones that have any of them are removed.
    """
    used = set()
    for container in client.api.containers(all=True) if names else []:
        mounted = {mount.get("Name") for mount in container.get("Mounts", [])} & set(names)
        if mounted and container["State"] in ("exited", "created", "dead"):
            client.api.remove_container(container["Id"])
        else:
            used |= mounted
    return used
