"""
Configs, secrets and bind mounts of earlier deployments, removed once nothing can need them again.
"""

from collections.abc import Mapping

import docker
import fabric

from runbook_lib.core.changes import Changes
from runbook_lib.stacks.deployment.binds import binds_folder, remove_binds
from runbook_lib.stacks.deployment.history import find_history
from runbook_lib.stacks.deployment.secrets import remove_unused
from runbook_lib.stacks.running.containers import STACK
from runbook_lib.stacks.running.specs import Spec


def prune_unused(manager: docker.DockerClient, stack: str) -> Changes:
    """
    Remove the stack's configs and secrets with a hash in their name that no specification names.

    Specifications are those of the services, those that a service had before, for Swarm's own
    rollback, and those of the deployments that the history keeps. Call it when the stack has
    converged and is recorded.
    """
    return remove_unused(manager, stack, _specs(manager, stack), f"{STACK}={stack}")


def prune_binds(
    connections: Mapping[str, fabric.Connection], manager: docker.DockerClient, stack: str
) -> Changes:
    """
    Remove bind mounts that no specification names, as `prune_unused` does, from every node.
    """
    own = f"{binds_folder(stack)}/"
    containers = [
        spec["TaskTemplate"].get("ContainerSpec") or {} for spec in _specs(manager, stack)
    ]
    sources = [str(m.get("Source", "")) for c in containers for m in c.get("Mounts") or []]
    inside = [source.removeprefix(own) for source in sources if source.startswith(own)]
    return remove_binds(connections, stack, {path.split("/")[0] for path in inside})


def _specs(manager: docker.DockerClient, stack: str) -> list[Spec]:
    # a service of another stack may use it, too
    services = [service.attrs for service in manager.services.list()]
    live = [attrs[key] for attrs in services for key in ("Spec", "PreviousSpec") if attrs.get(key)]
    return live + [spec for kept in find_history(manager, stack) for spec in kept.specs.values()]
