"""
Recovery of a Swarm that has lost its majority, from the remaining manager.

Without a majority services keep running, but cannot be changed, and failed tasks are not replaced.
Source: https://docs.docker.com/engine/swarm/admin_guide/#recover-from-losing-the-quorum
"""

import time
from collections.abc import Mapping

import docker
from docker.errors import APIError
from docker.models.nodes import Node

from runbook_lib.cloud.instances import Instance
from runbook_lib.cloud.roles import ROLES, TYPE_NODE, WEB
from runbook_lib.core.changes import Changes
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.swarm.hand_over import LABEL
from runbook_lib.swarm.managers import ensure_manager, retry_api_errors
from runbook_lib.swarm.membership import (
    Clients,
    ensure_label,
    find_manager,
    find_nodes_at,
    node_id,
)
from runbook_lib.swarm.nodes import change_spec, labels

_SNAPSHOT_S = 1.0


def has_majority(manager: docker.DockerClient, timeout_s: float = 60) -> bool:
    """
    Check whether this manager's Swarm can be changed.

    A leader that is cut off from the others needs a while to notice; until then a request times
    out, and is sent again.
    """

    def probe() -> bool | Pending:
        try:
            manager.nodes.list()
        except APIError as error:
            message = str(error.explanation)
            if "context deadline exceeded" in message:
                return Pending(message)
            if "leader" in message:
                return False
            raise
        return True

    return wait_for("The managers know whether they have a majority", probe, timeout_s=timeout_s)


def compact_raft_log(manager: docker.DockerClient) -> None:
    """
    Make the manager write a snapshot of its state, and drop the log before it.

    A joining node replays that log, with every manager that joined and was forced out, including
    itself. This was seen to take half a minute or more, during which a Swarm of two managers
    answers no requests, and the leader finally gives up. The snapshot takes 0.1 s. The engine
    compacts when entries arrive: these settings trigger it, and are then restored.
    """
    usual = manager.api.inspect_swarm()["Spec"]["Raft"]
    for raft in ({**usual, "SnapshotInterval": 1, "LogEntriesForSlowFollowers": 1}, usual):
        swarm = manager.api.inspect_swarm()
        spec = {**swarm["Spec"], "Raft": raft}
        manager.api.update_swarm(version=swarm["Version"]["Index"], swarm_spec=spec)
        time.sleep(_SNAPSHOT_S)


def force_new_cluster(manager: docker.DockerClient, instance: Instance) -> Changes:
    """
    Make this manager the only one, with the services, secrets and nodes of its log.

    Nothing to do if there is a majority: this would then remove managers.
    """
    changes = Changes()
    if has_majority(manager):
        return changes
    # not `manager.swarm`, which reads the Swarm first: that fails without a majority
    manager.api.init_swarm(
        advertise_addr=instance.private_ip, listen_addr="0.0.0.0:2377", force_new_cluster=True
    )
    changes.add("swarm", instance.role, "leads alone: --force-new-cluster")
    leads = f"{instance.role} leads"
    wait_for(leads, lambda: has_majority(manager) or Pending("no leader yet"), timeout_s=60)
    compact_raft_log(manager)
    return changes


def ensure_rejoined(clients: Clients, instances: Mapping[str, Instance], role: str) -> Changes:
    """
    Make a manager that was forced out leave its old Swarm, and rejoin as a new node.

    Nothing to do if it is a manager of the Swarm.
    """
    changes = Changes()
    leader = find_manager(clients)
    if leader is None or role not in clients or not has_majority(leader):
        return changes
    engine = clients[role]
    if not (_is_manager(leader, engine) or _is_made_one_again(leader, engine, role)):
        if engine.info()["Swarm"]["LocalNodeState"] != "inactive":
            _leave(engine, role)
            changes.add("node", role, "left its old Swarm")
        _forget(leader, instances[role], changes)
        changes.extend(ensure_manager(clients, instances, role))
    if role == WEB:  # a node that rejoins has lost its label
        changes.extend(ensure_label(leader, node_id(engine), TYPE_NODE, ROLES[WEB].type_node))
    return changes


def _find_node(leader: docker.DockerClient, engine: docker.DockerClient) -> Node | None:
    ours = node_id(engine)
    return next((node for node in leader.nodes.list() if node.id == ours), None)


def _is_manager(leader: docker.DockerClient, engine: docker.DockerClient) -> bool:
    node = _find_node(leader, engine)
    return bool(node and node.attrs.get("ManagerStatus"))


def _is_made_one_again(leader: docker.DockerClient, engine: docker.DockerClient, role: str) -> bool:
    # it has the label if it handed the lead over; the others then promote it
    node = _find_node(leader, engine)
    if node is None or LABEL not in labels(node.attrs):
        return False
    worker = Pending("it is still a worker")
    again = f"{role} is a manager again"
    return wait_for(again, lambda: _is_manager(leader, engine) or worker, timeout_s=90)


def _leave(engine: docker.DockerClient, role: str) -> None:
    def probe() -> bool | Pending:
        if engine.info()["Swarm"]["LocalNodeState"] != "inactive":
            engine.api.leave_swarm(force=True)
        return True

    wait_for(f"{role} leaves its old Swarm", retry_api_errors(probe), timeout_s=180)


def _forget(leader: docker.DockerClient, instance: Instance, changes: Changes) -> None:
    def probe() -> bool | Pending:
        for node in find_nodes_at(leader, instance.private_ip):
            # demote a manager first; one that was forced out only has the role
            if node.attrs.get("ManagerStatus"):
                change_spec(node, {"Role": "worker"})
                return Pending("it still counts as a manager")
            node.remove(force=True)
            changes.add("node", instance.role, "removed")
        return True

    wait_for(f"{instance.role} is removed", retry_api_errors(probe), timeout_s=60)
