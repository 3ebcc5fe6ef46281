"""
The node that runs the manager's services: the one with the label typeNode=master.

The standby node is drained, so that nothing else uses its memory and CPU credits.
"""

import time
from collections.abc import Mapping
from typing import Any

import docker
from docker.errors import APIError
from docker.models.nodes import Node
from docker.models.services import Service

from runbook_lib.cloud.instances import Instance
from runbook_lib.cloud.roles import BACKUP, MANAGER, ROLES, TYPE_NODE
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, NotFoundError
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.swarm.membership import address
from runbook_lib.swarm.nodes import change_spec

LABEL, MASTER, STANDBY = TYPE_NODE, ROLES[MANAGER].type_node, ROLES[BACKUP].type_node
_PINNED = f"node.labels.{LABEL} == {MASTER}"


def find_master(leader: docker.DockerClient, instances: Mapping[str, Instance]) -> str:
    """
    The role of the node with typeNode=master; "" where there is none, or more than one.
    """
    roles = {i.private_ip: role for role, i in instances.items()}
    masters = [node for node in leader.nodes.list() if _labels(node).get(LABEL) == MASTER]
    return roles.get(address(masters[0].attrs), "?") if len(masters) == 1 else ""


def ensure_standby(leader: docker.DockerClient, instance: Instance) -> Changes:
    """
    Label the node as the standby, and drain it.

    Raises
    ------
    ConflictError
        Where it is the master: draining it would stop the application.
    """
    if _labels(get_node(leader, instance)).get(LABEL) == MASTER:
        raise ConflictError(
            f"expected {instance.role} to stand by; the manager's services run on it",
            next_step="start the manager, then run 30_manager_backup: it moves them back",
        )
    return set_node(leader, instance, STANDBY, "drain")


def move_master(leader: docker.DockerClient, source: Instance, target: Instance) -> Changes:
    """
    Make `target` the master, and `source` the standby.

    `source` first: after a kill in between there is no master, but never two.
    """
    changes = set_node(leader, source, STANDBY, "drain")
    changes.extend(set_node(leader, target, MASTER, "active"))
    return changes


def find_pinned(leader: docker.DockerClient) -> list[Service]:
    """
    The services that may run on the master only, ordered by name.
    """
    return sorted(
        (service for service in leader.services.list() if _PINNED in _constraints(service)),
        key=lambda service: str(service.name),
    )


def wait_for_pinned(
    leader: docker.DockerClient, target: Instance, timeout_s: float = 180
) -> list[str]:
    """
    Wait until every pinned service has as many tasks as wanted on `target`; returns their names.
    """
    node_id = str(get_node(leader, target).id)

    def probe() -> list[str] | Pending:
        services = find_pinned(leader)
        away = [str(s.name) for s in services if _running_on(leader, s, node_id) < _wanted(s)]
        done = len(services) - len(away)
        if away:
            return Pending(f"waiting for {', '.join(away)}", done, len(services))
        return [str(service.name) for service in services]

    return wait_for(
        f"The manager's services run on {target.role}",
        probe,
        timeout_s=timeout_s,
        next_step="docker service ps --no-trunc <service>  on a manager shows why a task waits",
    )


def wait_for_new_leader(leader: docker.DockerClient, gone: Instance, timeout_s: float) -> float:
    """
    Wait until another manager than `gone` leads; returns the seconds it took.
    """
    began = time.monotonic()

    def probe() -> float | Pending:
        try:
            nodes = leader.nodes.list(filters={"role": "manager"})
        except APIError as error:
            return Pending(f"no leader yet: {error.explanation}")
        leading = [
            address(n.attrs) for n in nodes if n.attrs.get("ManagerStatus", {}).get("Leader")
        ]
        if leading and leading != [gone.private_ip]:
            return time.monotonic() - began
        return Pending(f"{gone.role} still counts as the leader")

    return wait_for(
        "The remaining managers agree on a leader",
        probe,
        timeout_s=timeout_s,
        poll_s=0.2,
        next_step="a majority must answer:  docker node ls  on manager-backup",
    )


def get_node(leader: docker.DockerClient, instance: Instance) -> Node:
    """
    The node of an instance.

    Raises
    ------
    NotFoundError
        Where it is not in the Swarm.
    """
    for node in leader.nodes.list():
        if address(node.attrs) == instance.private_ip:
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
    spec: dict[str, Any] = node.attrs["Spec"]
    labels = {**spec.get("Labels", {}), LABEL: label}
    if spec.get("Labels", {}) != labels or spec["Availability"] != availability:
        change_spec(node, {"Labels": labels, "Availability": availability})
        changes.add("node", instance.role, f"{LABEL}={label}, {availability}")
    return changes


def _labels(node: Node) -> dict[str, str]:
    return dict(node.attrs["Spec"].get("Labels") or {})


def _constraints(service: Service) -> list[str]:
    placement = service.attrs["Spec"]["TaskTemplate"].get("Placement") or {}
    return list(placement.get("Constraints") or [])


def _wanted(service: Service) -> int:
    return int(service.attrs["Spec"]["Mode"].get("Replicated", {}).get("Replicas", 1))


def _running_on(leader: docker.DockerClient, service: Service, node_id: str) -> int:
    tasks = leader.api.tasks(filters={"service": service.id, "node": node_id})
    return sum(t["DesiredState"] == t["Status"]["State"] == "running" for t in tasks)
