"""
The Swarm: initialised on the manager, joined by the others, labelled.

Source: section "Configurando el Swarm" of the guide. Join tokens go directly from one engine to
the other; they are never printed or stored.
"""

import time
from collections.abc import Mapping
from typing import Any

import docker
import pandas as pd
from docker.models.nodes import Node

from runbook_lib.cloud.instances import Instance
from runbook_lib.cloud.roles import MANAGER
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, NotFoundError
from runbook_lib.core.parallel import for_each
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.swarm.nodes import (
    PORT,
    address,
    change_spec,
    hostname,
    is_half_joined,
    join,
    labels,
)
from runbook_lib.swarm.strays import remove_strays

Clients = Mapping[str, docker.DockerClient]
_PENDING_S = 30.0
"""Time for a join in the background; the engine itself gives up after twenty seconds."""


def ensure_swarm(clients: Clients, instances: Mapping[str, Instance]) -> Changes:
    """
    Initialise the Swarm on the manager, and join every other engine as a worker.

    Raises ConflictError if an engine belongs to another Swarm, or is locked.
    """
    changes = Changes()
    leader, manager_ip = clients[MANAGER], instances[MANAGER].private_ip
    if _state(leader, MANAGER) == "inactive":
        leader.swarm.init(advertise_addr=manager_ip, listen_addr=f"0.0.0.0:{PORT}")
        changes.add("swarm", MANAGER, "initialised")
    _wait_for_leader(leader)
    leader.swarm.reload()
    token = leader.swarm.attrs["JoinTokens"]["Worker"]

    def one(role: str) -> None:
        if not is_member(leader, clients[role], role):
            ip = instances[role].private_ip
            join(clients[role], manager_ip=manager_ip, token=token, advertise_ip=ip)
            changes.add("node", role, "joined as a worker")

    for_each("Nodes joined", {r: r for r in clients if r != MANAGER}, one)
    ours = {node_id(client) for client in clients.values()}
    changes.extend(remove_strays(leader, ours, [instances[role].private_ip for role in clients]))
    return changes


def is_member(manager: docker.DockerClient, client: docker.DockerClient, role: str) -> bool:
    """
    Check whether an engine is a node of this manager's Swarm.

    Raises ConflictError if it belongs to another Swarm, or is locked.
    """
    if _state(client, role) == "inactive":
        return False
    if node_id(client) in {node.id for node in manager.nodes.list()}:
        return True
    raise ConflictError(
        f"the engine of {role} is in a Swarm, but not in the one of this manager",
        evidence=f"its node id {node_id(client)} is unknown here",
        next_step=f"on {role}:  sudo docker swarm leave --force , then run this notebook again",
    )


def wait_for_nodes(manager: docker.DockerClient, clients: Clients, timeout_s: float = 60) -> None:
    """
    Wait until the node of every engine is ready; the error names those that are not.
    """
    ours = {node_id(client): role for role, client in clients.items()}

    def probe() -> bool | Pending:
        states = {n.id: n.attrs["Status"]["State"] for n in manager.nodes.list()}
        late = [
            f"{role} is {states.get(node, 'no node')}"
            for node, role in ours.items()
            if states.get(node) != "ready"
        ]
        done = len(ours) - len(late)
        return not late or Pending(f"{', '.join(late)}", done, len(ours))

    wait_for(
        "Nodes ready",
        probe,
        timeout_s=timeout_s,
        next_step="run 02_security_groups: nodes talk to each other on 2377, 7946 and 4789",
    )


def ensure_label(manager: docker.DockerClient, node_id: str, name: str, value: str) -> Changes:
    """
    Set one label on a node; the stack's placement constraints read it.
    """
    changes = Changes()
    node = manager.nodes.get(node_id)
    existing = labels(node.attrs)
    if existing.get(name) != value:
        change_spec(node, {"Labels": {**existing, name: value}})
        changes.add("node label", hostname(node.attrs), f"{name}={value}")
    return changes


def node_id(client: docker.DockerClient) -> str:
    """
    Return the id of this engine's node in its Swarm; "" if it is in none.
    """
    return str(client.info()["Swarm"].get("NodeID", ""))


def node_table(manager: docker.DockerClient, instances: Mapping[str, Instance]) -> pd.DataFrame:
    """
    Return one row per node; columns: role, hostname, state, availability, manager, labels, engine.

    A node whose join was cut short has its id for a hostname, and the state "half joined".
    """
    roles = {i.private_ip: role for role, i in instances.items()}
    columns = ["role", "hostname", "state", "availability", "manager", "labels", "engine"]
    rows: list[Any] = [
        (
            roles.get(address(node), "?"),
            hostname(node),
            "half joined" if is_half_joined(node) else node["Status"]["State"],
            node["Spec"]["Availability"],
            node.get("ManagerStatus", {}).get("Reachability", ""),
            ", ".join(f"{k}={v}" for k, v in labels(node).items()),
            (node.get("Description") or {}).get("Engine", {}).get("EngineVersion", ""),
        )
        for node in (listed.attrs for listed in manager.nodes.list())
    ]
    order = [*instances, "?"]
    rows.sort(key=lambda row: order.index(row[0]))
    return pd.DataFrame(rows, columns=columns)


def get_manager(clients: Clients) -> docker.DockerClient:
    """
    Return the client of the manager.

    Raises NotFoundError if it does not manage a Swarm, or WaitTimeoutError if too few managers
    respond for a change.
    """
    manager = wait_for_manager(clients)
    if manager is None:
        raise NotFoundError(
            "expected the manager to manage a Swarm; it does not", next_step="run 05_swarm"
        )
    _wait_for_leader(manager)
    return manager


def wait_for_manager(clients: Clients, timeout_s: float = 90) -> docker.DockerClient | None:
    """
    Find the manager, and wait for it if it handed the lead over at shutdown.

    The other managers promote it again. None only if it has no engine, or is in no Swarm.

    Raises WaitTimeoutError if it is in a Swarm that it does not manage.
    """
    client = clients.get(MANAGER)
    if client is None or client.info()["Swarm"]["LocalNodeState"] == "inactive":
        return None
    return find_manager(clients) or wait_for(
        "The manager manages the Swarm again",
        lambda: find_manager(clients) or Pending("it is a worker of a Swarm"),
        timeout_s=timeout_s,
        next_step="docker node ls  on another manager; there  docker node promote  makes it one",
    )


def find_manager(clients: Clients, role: str = MANAGER) -> docker.DockerClient | None:
    """
    Find the client of a manager; None if it has no engine, or manages no Swarm.
    """
    client = clients.get(role)
    return client if client and client.info()["Swarm"].get("ControlAvailable") else None


def remove_swarm(clients: Clients) -> Changes:
    """
    Make every node leave, the manager last; services, networks and secrets go with it.
    """
    changes = Changes()

    def leave(role: str) -> None:
        if clients[role].info()["Swarm"]["LocalNodeState"] != "inactive":
            # `.swarm` of the SDK would first inspect the Swarm, which fails without a leader
            clients[role].api.leave_swarm(force=True)
            changes.add("node", role, "left the Swarm")

    for_each("Nodes left", {r: r for r in clients if r != MANAGER}, leave)
    for_each("Manager left", {r: r for r in clients if r == MANAGER}, leave)
    return changes


def _state(client: docker.DockerClient, role: str) -> str:
    # a run that was killed during a join leaves an engine that goes on joining by itself
    def probe() -> dict[str, Any] | Pending:
        seen: dict[str, Any] = client.info()["Swarm"]
        is_over = seen["LocalNodeState"] != "pending" or time.monotonic() >= deadline
        return seen if is_over else Pending("it is pending")

    deadline = time.monotonic() + _PENDING_S
    swarm = wait_for(f"{role} finishes its join", probe, timeout_s=_PENDING_S + 60)
    state = str(swarm["LocalNodeState"])
    if state not in ("inactive", "active"):
        raise ConflictError(
            f"expected the engine of {role} to be in no Swarm or in ours, saw state {state!r}",
            evidence=str(swarm.get("Error", "")),
            next_step=f"on {role}:  sudo docker swarm leave --force , then run this notebook again",
        )
    return state


def _wait_for_leader(manager: docker.DockerClient) -> None:
    # a manager that has just started waits for the others, without a majority forever
    def probe() -> bool | Pending:
        error = manager.info()["Swarm"].get("Error", "")
        return Pending(error) if error else True

    if isinstance(probe(), Pending):
        wait_for(
            "The managers agree on a leader",
            probe,
            timeout_s=60,
            next_step="start the managers that are missing (01_instances); if they are gone for "
            "good, on the manager:  sudo docker swarm init --force-new-cluster",
        )


def find_nodes_at(manager: docker.DockerClient, private_ip: str) -> list[Node]:
    """
    Find the nodes with this address; more than one if an instance has rejoined.
    """
    return [node for node in manager.nodes.list() if address(node.attrs) == private_ip]
