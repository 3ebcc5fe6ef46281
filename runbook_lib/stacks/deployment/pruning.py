"""
Configs, secrets and bind mounts of earlier deployments, removed once nothing can need them again.
"""

from collections.abc import Mapping
from typing import Any

import docker
import fabric

from runbook_lib.core.changes import Changes
from runbook_lib.stacks.deployment.files import FOLDER, remove_binds
from runbook_lib.stacks.deployment.history import find_history
from runbook_lib.stacks.running.containers import OWNER, STACK
from runbook_lib.stacks.running.specs import Spec


def prune_unused(manager: docker.DockerClient, stack: str) -> Changes:
    """
    Remove the stack's configs and secrets with a hash in their name that no specification names.

    Specifications are those of the services, those that a service had before, for Swarm's own
    rollback, and those of the deployments that the history keeps. Call it when the stack has
    converged and is recorded.
    """
    changes = Changes()
    names = _names_in_use(_specs(manager, stack))
    for kind, collection in (("config", manager.configs), ("secret", manager.secrets)):
        items: Any = collection
        for item in items.list(filters={"label": f"{STACK}={stack}"}):
            labels = item.attrs["Spec"].get("Labels") or {}
            if labels.get(OWNER) == stack and item.name not in names:
                item.remove()
                changes.add(kind, str(item.name), "removed: not used any more")
    return changes


def prune_binds(
    connections: Mapping[str, fabric.Connection], manager: docker.DockerClient, stack: str
) -> Changes:
    """
    Remove bind mounts that no specification names, as `prune_unused` does, from every node.
    """
    sources = [
        str(mount.get("Source", ""))
        for spec in _specs(manager, stack)
        for mount in _container(spec).get("Mounts") or []
    ]
    inside = [source.removeprefix(f"{FOLDER}/") for source in sources if source.startswith(FOLDER)]
    return remove_binds(connections, stack, {path.split("/")[1] for path in inside})


def _specs(manager: docker.DockerClient, stack: str) -> list[Spec]:
    # a service of another stack may use it, too
    services = [service.attrs for service in manager.services.list()]
    live = [attrs[key] for attrs in services for key in ("Spec", "PreviousSpec") if attrs.get(key)]
    return [
        *live,
        *(spec for entry in find_history(manager, stack) for spec in entry.specs.values()),
    ]


def _names_in_use(specs: list[Spec]) -> set[str]:
    return {
        str(used[f"{key}Name"])
        for spec in specs
        for key in ("Config", "Secret")
        for used in _container(spec).get(f"{key}s") or []
    }


def _container(spec: Spec) -> dict[str, Any]:
    return spec["TaskTemplate"].get("ContainerSpec") or {}
