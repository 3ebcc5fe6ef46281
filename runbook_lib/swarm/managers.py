"""
The Swarm's managers: added and removed, with a quorum check before each change.

Source: section "Configurando el Swarm" of the guide, where `admin-web` joins as a manager.
"""

from collections.abc import Callable, Mapping

import docker
from docker.errors import APIError
from docker.models.nodes import Node

from runbook_lib.cloud.instances import Instance
from runbook_lib.cloud.roles import MANAGER
from runbook_lib.core.changes import Changes
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.swarm.membership import (
    Clients,
    find_manager,
    find_nodes_at,
    is_member,
    node_id,
)
from runbook_lib.swarm.nodes import address, change_spec, join
from runbook_lib.swarm.quorum import Quorum, check_quorum_after

_TIMEOUT_S = 90


def count_managers(manager: docker.DockerClient) -> Quorum:
    nodes = manager.nodes.list(filters={"role": "manager"})
    return Quorum(len(nodes), sum(not _answers(node) for node in nodes))


def ensure_manager(
    clients: Clients, instances: Mapping[str, Instance], role: str, *, manager: str = MANAGER
) -> Changes:
    """
    Join the engine of `role` as a manager, or promote it if it is a worker.

    Raises ConflictError if it belongs to another Swarm, or no majority would be left.
    """
    changes = Changes()
    leader, engine = clients[manager], clients[role]
    if not is_member(leader, engine, role):
        check_quorum_after(count_managers(leader), managers=1)
        leader.swarm.reload()
        join(
            engine,
            manager_ip=instances[manager].private_ip,
            token=leader.swarm.attrs["JoinTokens"]["Manager"],
            advertise_ip=instances[role].private_ip,
        )
        changes.add("node", role, "joined as a manager")
    elif (node := leader.nodes.get(node_id(engine))).attrs["Spec"]["Role"] != "manager":
        check_quorum_after(count_managers(leader), managers=1)
        change_spec(node, {"Role": "manager"})
        changes.add("node", role, "promoted to manager")
    silent = Pending(f"no manager on {role} answers yet")
    wait_for(
        f"{role} answers as a manager",
        lambda: _answers(leader.nodes.get(node_id(engine))) or silent,
        timeout_s=_TIMEOUT_S,
        next_step="run 02_security_groups: managers talk to each other on 2377",
    )
    return changes


def find_leader(manager: docker.DockerClient, instances: Mapping[str, Instance]) -> str:
    """
    Find the role of the leader; "" if none of the instances leads.
    """
    nodes = manager.nodes.list(filters={"role": "manager"})
    leading = [address(n.attrs) for n in nodes if n.attrs.get("ManagerStatus", {}).get("Leader")]
    return next((role for role, i in instances.items() if i.private_ip in leading), "")


def ensure_leader(clients: Clients, instances: Mapping[str, Instance], role: str) -> Changes:
    """
    Make the manager of `role` the leader: demote the leader, so it hands over, and promote it
    again.

    The Swarm chooses the next leader, so this may take several rounds.

    Raises ConflictError if no majority would be left meanwhile.
    """
    changes = Changes()
    manager = clients[role]

    def probe() -> bool | Pending:
        leading = find_leader(manager, instances)
        if leading in (role, ""):
            return leading == role or Pending("no leader yet")
        check_quorum_after(count_managers(manager), managers=-1)
        for node in find_nodes_at(manager, instances[leading].private_ip):
            change_spec(node, {"Role": "worker"})
            _wait_until_demoted(manager, str(node.id), leading)
        ensure_manager(clients, instances, leading, manager=role)
        changes.add("node", leading, "handed the lead over")
        return Pending(f"{leading} led")

    wait_for(f"{role} leads", retry_api_errors(probe), timeout_s=_TIMEOUT_S)
    return changes


def remove_manager(clients: Clients, instances: Mapping[str, Instance], role: str) -> Changes:
    """
    Demote the node of `role`, make it leave, and remove it; nothing to do if it is gone.

    A manager that leaves without being demoted still counts, and may cost the majority.

    Raises ConflictError if no majority would be left.
    """
    changes = Changes()
    leader, engine = find_manager(clients), clients.get(role)
    if leader is None or role not in instances:
        return changes
    for node in find_nodes_at(leader, instances[role].private_ip):
        if node.attrs["Spec"]["Role"] == "manager":
            gone = 0 if _answers(node) else -1
            check_quorum_after(count_managers(leader), managers=-1, unreachable=gone)
            change_spec(node, {"Role": "worker"})
            changes.add("node", role, "demoted to worker")
        _wait_until_demoted(leader, str(node.id), role)
        if engine and node_id(engine) == node.id:
            _leave(engine, role)
            changes.add("node", role, "left the Swarm")
        _remove(leader, str(node.id), role)
        changes.add("node", role, "removed")
    return changes


def _answers(node: Node) -> bool:
    return bool(node.attrs.get("ManagerStatus", {}).get("Reachability") == "reachable")


def _wait_until_demoted(leader: docker.DockerClient, node_id: str, role: str) -> None:
    # the node still counts for the majority until the managers have agreed
    def probe() -> bool | Pending:
        demoted = not leader.nodes.get(node_id).attrs.get("ManagerStatus")
        return demoted or Pending(f"{role} still counts as a manager")

    wait_for(f"{role} is a worker", retry_api_errors(probe), timeout_s=_TIMEOUT_S)


def retry_api_errors(probe: Callable[[], bool | Pending]) -> Callable[[], bool | Pending]:
    """
    Make a probe pending while the Swarm refuses requests, during a change of leader.
    """

    def retrying() -> bool | Pending:
        try:
            return probe()
        except APIError as error:
            return Pending(str(error.explanation))

    return retrying


def _leave(engine: docker.DockerClient, role: str) -> None:
    def probe() -> bool | Pending:
        state = engine.info()["Swarm"]
        if state.get("ControlAvailable") or state["LocalNodeState"] != "active":
            return Pending(f"the engine of {role} does not know yet that it is a worker")
        engine.swarm.leave()
        return True

    wait_for(f"{role} leaves", probe, timeout_s=_TIMEOUT_S)


def _remove(leader: docker.DockerClient, node_id: str, role: str) -> None:
    def probe() -> bool | Pending:
        node = leader.nodes.get(node_id)
        if node.attrs["Status"]["State"] != "down":
            return Pending(f"the Swarm still takes {role} for ready")
        node.remove()
        return True

    wait_for(f"{role} is removed", probe, timeout_s=_TIMEOUT_S)
