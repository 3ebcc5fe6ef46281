"""
Nodes without an engine: gone for good, or of a join that was cut short.
"""

from collections.abc import Collection

import docker
from docker.errors import APIError, NotFound

from runbook_lib.core.changes import Changes
from runbook_lib.core.wait import Pending, wait_for, wait_until_none
from runbook_lib.swarm.nodes import address, change_spec, hostname, is_half_joined

_JOIN_S = 30.0
"""Time for a join that another run has begun; the engine itself gives up after twenty seconds."""


def remove_strays(
    manager: docker.DockerClient, ours: Collection[str], addresses: Collection[str] = ()
) -> Changes:
    """
    Remove, except those with the ids in `ours`: workers that are down, or at one of our engines'
    `addresses`, and nodes that never reported.

    A node gets its id with its certificate, and its name with its first report. An engine that was
    killed then or soon after joins again under another id, and the first one stays: without a name,
    or ready until its heartbeat is missed.
    """
    changes = Changes()
    wait_until_none(
        "Half-joined nodes report",
        lambda: [node for node in _find_half_joined(manager) if node not in ours],
        timeout_s=_JOIN_S,
    )
    half = [node for node in _find_half_joined(manager) if node not in ours]
    for node in half:
        _remove_half_joined(manager, node)
        changes.add("node", node, "removed: it never reported a host name, its join was cut short")
    for worker in manager.nodes.list(filters={"role": "worker"}):
        is_down = worker.attrs["Status"]["State"] == "down"
        if worker.id not in [*ours, *half] and (is_down or address(worker.attrs) in addresses):
            worker.remove(force=True)
            changes.add("node", hostname(worker.attrs), "removed: it is gone")
    return changes


def _find_half_joined(manager: docker.DockerClient) -> list[str]:
    return [str(node.id) for node in manager.nodes.list() if is_half_joined(node.attrs)]


def _remove_half_joined(manager: docker.DockerClient, node_id: str) -> None:
    def probe() -> bool | Pending:
        try:
            node = manager.nodes.get(node_id)
            if node.attrs["Spec"]["Role"] == "manager":  # it may be one of the Raft already
                change_spec(node, {"Role": "worker"})
            node.remove(force=True)
        except NotFound:
            return True
        except APIError as error:
            if "manager" not in str(error.explanation):
                raise
            return Pending(str(error.explanation))
        return True

    wait_for(f"The half-joined node {node_id} is removed", probe, timeout_s=60)
