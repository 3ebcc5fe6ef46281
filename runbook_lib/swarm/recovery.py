"""
A Swarm that has lost its majority, made to be led again by the manager that is left.

Services run on without a majority, but nothing can be changed and nothing that fails is replaced.
Source: https://docs.docker.com/engine/swarm/admin_guide/#recover-from-losing-the-quorum
"""

from collections.abc import Mapping

import docker
from docker.errors import APIError

from runbook_lib.cloud.instances import Instance
from runbook_lib.cloud.roles import ROLES, TYPE_NODE, WEB
from runbook_lib.core.changes import Changes
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.swarm.hand_over import LABEL
from runbook_lib.swarm.managers import ensure_manager
from runbook_lib.swarm.membership import Clients, address, ensure_label, find_manager, node_id
from runbook_lib.swarm.raft_log import forget_past

_NO_LEADER, _NOT_YET = "leader", "context deadline exceeded"


def has_majority(manager: docker.DockerClient, timeout_s: float = 60) -> bool:
    """
    Whether this manager's Swarm can be changed.

    Waits for an answer: until a leader gives up that has lost the others (or they give it up) a
    request runs into its time limit, which tells neither.
    """

    def probe() -> bool | Pending:
        try:
            manager.nodes.list()
        except APIError as error:
            said = str(error.explanation)
            if _NOT_YET in said:
                return Pending(said)
            if _NO_LEADER in said:
                return False
            raise
        return True

    return wait_for("The managers know if they are enough", probe, timeout_s=timeout_s)


def force_new_cluster(
    manager: docker.DockerClient, instance: Instance, timeout_s: float = 60
) -> Changes:
    """
    Let this manager lead alone, with all that it knows of services, secrets and nodes.

    Nothing to do where the majority is there: then this would throw managers out.
    """
    changes = Changes()
    if has_majority(manager):
        return changes
    # not `manager.swarm`, which asks about the Swarm first: nobody answers that
    manager.api.init_swarm(
        advertise_addr=instance.private_ip, listen_addr="0.0.0.0:2377", force_new_cluster=True
    )
    changes.add("swarm", instance.role, "leads alone: --force-new-cluster")

    def probe() -> bool | Pending:
        return has_majority(manager) or Pending("no leader yet")

    wait_for(f"{instance.role} leads", probe, timeout_s=timeout_s)
    forget_past(manager)
    return changes


def ensure_rejoined(
    clients: Clients, instances: Mapping[str, Instance], role: str, timeout_s: float = 60
) -> Changes:
    """
    Let a former manager that its Swarm goes on without leave the old one, and join as a new node.

    Nothing to do where the Swarm has it as a manager.
    """
    changes = Changes()
    leader = find_manager(clients)
    if leader is None or role not in clients or not has_majority(leader):
        return changes
    engine = clients[role]
    if not (_is_manager(leader, engine) or _is_made_one_again(leader, engine, role)):
        if engine.info()["Swarm"]["LocalNodeState"] != "inactive":
            _leave(engine, role, 3 * timeout_s)
            changes.add("node", role, "left the Swarm that is no more")
        _forget(leader, instances[role], changes, timeout_s)
        changes.extend(ensure_manager(clients, instances, role))
    if role == WEB:  # a node that joins again has lost its label
        changes.extend(ensure_label(leader, node_id(engine), TYPE_NODE, ROLES[WEB].type_node))
    return changes


def _is_manager(leader: docker.DockerClient, engine: docker.DockerClient) -> bool:
    ours = node_id(engine)
    found = [node for node in leader.nodes.list() if node.id == ours]
    return bool(found and found[0].attrs.get("ManagerStatus"))


def _leave(engine: docker.DockerClient, role: str, timeout_s: float) -> None:
    """
    A manager whose Swarm is no more gives up asking its peers only after a while: asked anew.
    """

    def probe() -> bool | Pending:
        if engine.info()["Swarm"]["LocalNodeState"] == "inactive":
            return True
        try:
            engine.api.leave_swarm(force=True)
        except APIError as error:
            return Pending(str(error.explanation))
        return True

    wait_for(f"{role} leaves the Swarm that is no more", probe, timeout_s=timeout_s)


def _is_made_one_again(leader: docker.DockerClient, engine: docker.DockerClient, role: str) -> bool:
    """
    Whether it is one that handed the lead over: the others make it a manager, and it is waited for.
    """
    ours = node_id(engine)
    found = [node for node in leader.nodes.list() if node.id == ours]
    if not found or LABEL not in found[0].attrs["Spec"]["Labels"]:
        return False

    def probe() -> bool | Pending:
        return _is_manager(leader, engine) or Pending("it is a worker yet")

    return wait_for(f"{role} is a manager again", probe, timeout_s=90)


def _forget(
    leader: docker.DockerClient, instance: Instance, changes: Changes, timeout_s: float
) -> None:
    """
    Remove the records of the node that the instance was.
    """

    def probe() -> bool | Pending:
        for node in leader.nodes.list():
            if address(node.attrs) != instance.private_ip:
                continue
            try:
                # one that was forced out is to be a manager, and is none: it can go as it is
                if node.attrs.get("ManagerStatus"):
                    node.update({**node.attrs["Spec"], "Role": "worker"})
                    return Pending("its record is to be that of a worker")
                node.remove(force=True)
            except APIError as error:
                return Pending(str(error.explanation))
            changes.add("node", instance.role, "forgotten")
        return True

    wait_for(f"{instance.role} is forgotten", probe, timeout_s=timeout_s)
