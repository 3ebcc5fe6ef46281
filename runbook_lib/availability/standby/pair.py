"""
The two nodes that can run the manager's services: the master, with the label typeNode=master, and
the standby, which needs images, volumes and secrets before the manager fails.

The standby is drained, so that nothing else uses its memory and CPU credits.
"""

from collections.abc import Mapping
from typing import Any

import docker
import pandas as pd
from docker.models.nodes import Node
from docker.models.services import Service

from runbook_lib.cloud.instances import Instance
from runbook_lib.cloud.roles import BACKUP, MANAGER, ROLES, TYPE_NODE
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, NotFoundError
from runbook_lib.core.progress import Progress
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.stacks.building.digests import push, push_name
from runbook_lib.stacks.images import has_image
from runbook_lib.stacks.running.containers import STACK, in_stack
from runbook_lib.stacks.running.convergence import convergence
from runbook_lib.swarm.managers import retry_api_errors
from runbook_lib.swarm.membership import find_nodes_at
from runbook_lib.swarm.nodes import address, change_spec, labels

LABEL, MASTER, STANDBY = TYPE_NODE, ROLES[MANAGER].type_node, ROLES[BACKUP].type_node


def find_master(leader: docker.DockerClient, instances: Mapping[str, Instance]) -> str:
    """
    Find the role of the node with typeNode=master; "" if there is none, or more than one.
    """
    roles = {i.private_ip: role for role, i in instances.items()}
    masters = [node for node in leader.nodes.list() if labels(node.attrs).get(LABEL) == MASTER]
    return roles.get(address(masters[0].attrs), "?") if len(masters) == 1 else ""


def ensure_standby(leader: docker.DockerClient, instance: Instance) -> Changes:
    """
    Label the node as the standby, and drain it.

    Raises ConflictError if it is the master: draining it would stop the application.
    """
    if labels(get_node(leader, instance).attrs).get(LABEL) == MASTER:
        raise ConflictError(
            f"expected {instance.role} to stand by; the manager's services run on it",
            next_step="start the manager, then run 30_manager_backup: it moves them back",
        )
    return set_node(leader, instance, STANDBY, "drain")


def move_master(leader: docker.DockerClient, source: Instance, target: Instance) -> Changes:
    """
    Make `target` the master, and `source` the standby.

    `source` comes first: a kill in between can leave no master, but never two.
    """
    changes = set_node(leader, source, STANDBY, "drain")
    changes.extend(set_node(leader, target, MASTER, "active"))
    return changes


def find_pinned(leader: docker.DockerClient) -> list[Service]:
    """
    Find the services that may run only on the master, ordered by name.
    """

    def is_pinned(service: Service) -> bool:
        placement = service.attrs["Spec"]["TaskTemplate"].get("Placement") or {}
        return f"node.labels.{LABEL} == {MASTER}" in (placement.get("Constraints") or [])

    return sorted(filter(is_pinned, leader.services.list()), key=lambda service: str(service.name))


def wait_for_pinned(
    leader: docker.DockerClient, target: Instance, timeout_s: float = 180
) -> list[str]:
    """
    Wait until every pinned service has all its tasks on `target`; return their names.
    """
    node_id = str(get_node(leader, target).id)

    def is_away(service: Service) -> bool:
        tasks = leader.api.tasks(filters={"service": service.id, "node": node_id})
        running = sum(t["DesiredState"] == t["Status"]["State"] == "running" for t in tasks)
        wanted = service.attrs["Spec"]["Mode"].get("Replicated", {}).get("Replicas", 1)
        return bool(running < int(wanted))

    def probe() -> list[str] | Pending:
        services = find_pinned(leader)
        if away := [str(convergence(leader, service)) for service in filter(is_away, services)]:
            done = len(services) - len(away)
            return Pending(f"waiting for {', '.join(away)}", done, len(services))
        return [str(service.name) for service in services]

    return wait_for(
        f"The manager's services run on {target.role}",
        probe,
        timeout_s=timeout_s,
        next_step="docker service ps --no-trunc <service>  on a manager shows why a task waits",
    )


def wait_for_new_leader(leader: docker.DockerClient, gone: Instance, timeout_s: float) -> None:
    """
    Wait until a manager other than `gone` leads.
    """

    def probe() -> bool | Pending:
        nodes = leader.nodes.list(filters={"role": "manager"})
        leading = [n for n in nodes if n.attrs.get("ManagerStatus", {}).get("Leader")]
        others = [node for node in leading if address(node.attrs) != gone.private_ip]
        return bool(others) or Pending(f"{gone.role} still counts as the leader")

    wait_for(
        "The remaining managers agree on a leader",
        retry_api_errors(probe),
        timeout_s=timeout_s,
        poll_s=0.2,
        next_step="a majority must answer:  docker node ls  on manager-backup",
    )


def get_node(leader: docker.DockerClient, instance: Instance) -> Node:
    """
    Return the node of an instance.

    Raises NotFoundError if it is not in the Swarm.
    """
    for node in find_nodes_at(leader, instance.private_ip):
        return node
    raise NotFoundError(
        f"expected {instance.role} ({instance.private_ip}) to be a node of the Swarm; it is not",
        next_step="run 30_manager_backup: it lets manager-backup join",
    )


def set_node(
    leader: docker.DockerClient, instance: Instance, label: str, availability: str
) -> Changes:
    """
    Set a node's label typeNode and its availability, in one step.
    """
    changes = Changes()
    node = get_node(leader, instance)
    wanted = {"Labels": {**labels(node.attrs), LABEL: label}, "Availability": availability}
    if wanted != {"Labels": labels(node.attrs), "Availability": node.attrs["Spec"]["Availability"]}:
        change_spec(node, wanted)
        changes.add("node", instance.role, f"{LABEL}={label}, {availability}")
    return changes


def ensure_images(
    leader: docker.DockerClient,
    source: docker.DockerClient,
    target: docker.DockerClient,
    *,
    registry: str,
) -> Changes:
    """
    Copy the image of every service that may have to move to `target`.

    The registry goes down with the manager; an image that is pinned by its digest and present needs
    no registry. An image that only the manager has (the registry's own, by its id) goes through the
    registry, too.
    """
    changes = Changes()
    wanted = sorted({str(_container(service)["Image"]) for service in find_pinned(leader)})
    missing = [reference for reference in wanted if not has_image(target, reference)]
    with Progress("Images copied to the standby node") as progress:
        for done, reference in enumerate(missing):
            progress.update(reference.split("@")[0], done, len(missing))
            copied = reference
            if "/" not in reference:
                copied = f"{registry}/only-here:{reference.removeprefix('sha256:')[:12]}"
                source.images.get(reference).tag(push_name(copied))
                copied = push(source, copied)
            target.api.pull(copied)
            changes.add("image", reference.split("@")[0], "copied to the standby node")
    return changes


def readiness(leader: docker.DockerClient, target: docker.DockerClient) -> pd.DataFrame:
    """
    Check `target` for the needs of every service that may have to move; nothing is started.

    Columns: service, image, volumes, secrets ("there", or what is missing), ready.
    """
    volumes = {str(volume.name) for volume in target.volumes.list()}
    secrets = {str(secret.name) for secret in leader.secrets.list()}
    rows = []
    for service in find_pinned(leader):
        spec, image = _container(service), str(_container(service)["Image"])
        mounts = [m for m in spec.get("Mounts") or [] if m["Type"] == "volume"]
        # if an external volume is missing, the engine would create an empty one
        outer = [m for m in mounts if STACK not in m.get("VolumeOptions", {}).get("Labels", {})]
        missing = [
            [] if has_image(target, image) else [image.split("@", maxsplit=1)[0]],
            sorted({mount["Source"] for mount in outer} - volumes),
            sorted({secret["SecretName"] for secret in spec.get("Secrets") or []} - secrets),
        ]
        words = [", ".join(names) or "there" for names in missing]
        rows.append((str(service.name), *words, not any(missing)))
    return pd.DataFrame(rows, columns=["service", "image", "volumes", "secrets", "ready"])


def remove_stack_volumes(engine: docker.DockerClient, stacks: list[str]) -> Changes:
    """
    Remove the stacks' own volumes on an engine where none of their services runs.

    A queue older than the tiles is worse than an empty one, and its broker has old passwords; the
    dealer republishes tasks without a result. The tiles are in an external volume.
    """
    changes = Changes()
    for name in stacks:
        for volume in engine.volumes.list(filters=in_stack(name)):
            ended = {"volume": str(volume.name), "status": ["exited", "created", "dead"]}
            for container in engine.api.containers(all=True, filters=ended):
                engine.api.remove_container(container["Id"])
            volume.remove()
            changes.add("volume", str(volume.name), "removed")
    return changes


def _container(service: Service) -> dict[str, Any]:
    return dict(service.attrs["Spec"]["TaskTemplate"]["ContainerSpec"])
