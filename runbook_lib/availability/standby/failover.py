"""
Failover: when the manager fails, its services run on `manager-backup`; failback moves them back.

Source: section "Disponibilidad" of the guide, solution 1. The operator, or a drill, decides when to
fail over: a manager that is only cut off would keep writing. Data that exists only on the manager
is lost: the messages in the broker (the dealer republishes tasks without a result), and results
written after the last backup (they are recomputed). Secrets and services are in the Raft log, on a
majority of the managers.

Each function can be killed at any point and called again.
"""

import re
import shlex
from dataclasses import dataclass

import docker

from runbook_lib.availability.standby import pair, tiles_backup
from runbook_lib.availability.standby.pair import MASTER, STANDBY, set_node
from runbook_lib.cloud.instances import Instance
from runbook_lib.cloud.roles import BACKUP, MANAGER
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import NotFoundError
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.hosts.clusters import Cluster
from runbook_lib.hosts.ssh import run
from runbook_lib.stacks.deploy import wait_for_stack
from runbook_lib.stacks.running.containers import SERVICE, find_services
from runbook_lib.swarm.managers import retry_api_errors
from runbook_lib.swarm.membership import find_manager

REGISTRY_STACK = "registry"
LEADER_TIMEOUT_S = 60.0
_ADDRESS = re.compile(r"(=https?://)[\d.]+(:)")
_UNANSWERED = 3
"""Failed probes in a row: one refused connection is not proof."""


@dataclass(frozen=True)
class Stacks:
    """
    The names of the stacks, and the variable of the web stack with the address of the tiles.
    """

    work: str = "geo-diff-work"
    web: str = "geo-diff-web"
    variable: str = "TILES_URL"


def fail_over(cluster: Cluster, stacks: Stacks, timeout_s: float = 180) -> Changes:
    """
    Move the manager's services to `manager-backup`, and wait until they run there.

    Raises WaitTimeoutError if the manager still responds (nothing is moved then), or a service does
    not start.
    """
    changes = Changes()
    leader, manager, backup = _members(cluster)
    pair.wait_for_new_leader(leader, manager, LEADER_TIMEOUT_S)
    if pair.find_master(leader, cluster.instances) != BACKUP:
        _wait_until_unreachable(cluster)
        # from here on the tiles on manager-backup are in use: do not overwrite them
        tiles_backup.stop_timer(cluster.connections[BACKUP])
        if pair.get_node(leader, backup).attrs["Spec"]["Availability"] == "drain":
            changes.extend(pair.remove_stack_volumes(leader, [stacks.work, REGISTRY_STACK]))
        changes.extend(pair.move_master(leader, manager, backup))
    changes.extend(_update_map(cluster, stacks, backup))
    _wait_until_moved(leader, backup, stacks, timeout_s)
    return changes


def fail_back(cluster: Cluster, stacks: Stacks, timeout_s: float = 300) -> Changes:
    """
    Move the services back to the manager, with the results written in the meantime.

    The tiles are copied while the application runs, and the rest while nothing writes.
    """
    changes = Changes()
    leader, manager, backup = _members(cluster)
    _wait_until_back(leader, manager, timeout_s)
    if pair.find_master(leader, cluster.instances) != MANAGER:
        tiles_backup.stop_timer(cluster.connections[BACKUP])
        tiles_backup.copy_now(cluster.connections[MANAGER])
        changes.extend(set_node(leader, manager, STANDBY, "drain"))
        changes.extend(set_node(leader, backup, STANDBY, "drain"))
        _wait_until_idle(leader, timeout_s)
        copied = tiles_backup.copy_now(cluster.connections[MANAGER])
        changes.add("tiles", MANAGER, f"has all {copied['files']:g} files of {BACKUP}")
        changes.extend(pair.remove_stack_volumes(cluster.engines[MANAGER], [stacks.work]))
        changes.extend(set_node(leader, manager, MASTER, "active"))
    changes.extend(_stand_by(cluster, stacks))
    _wait_until_moved(leader, manager, stacks, timeout_s)
    changes.extend(pair.remove_stack_volumes(leader, [stacks.work, REGISTRY_STACK]))
    return changes


def ensure_returned(cluster: Cluster, stacks: Stacks) -> Changes:
    """
    Fail back, or complete a killed failback; nothing to do if the manager is the master.
    """
    leader = find_manager(cluster.find_engines(), BACKUP)
    if leader is None:
        return Changes()
    if pair.find_master(leader, cluster.instances) == MANAGER:
        return _stand_by(cluster, stacks)
    return fail_back(cluster, stacks)


def _members(cluster: Cluster) -> tuple[docker.DockerClient, Instance, Instance]:
    """
    Return the client of `manager-backup`, which is up in both directions, and both instances.
    """
    return cluster.engines[BACKUP], cluster.instances[MANAGER], cluster.instances[BACKUP]


def _stand_by(cluster: Cluster, stacks: Stacks) -> Changes:
    """
    Switch the map to the manager's tiles, and resume the copies on `manager-backup`.
    """
    leader, manager, backup = _members(cluster)
    changes = _update_map(cluster, stacks, manager)
    changes.extend(set_node(leader, backup, STANDBY, "drain"))
    if tiles_backup.start_timer(cluster.connections[BACKUP]):
        changes.add("backup", BACKUP, "timer started")
    return changes


def _update_map(cluster: Cluster, stacks: Stacks, master: Instance) -> Changes:
    """
    Set the public address of the tiles in the web stack, for browsers.

    This uses the command line: the SDK would write its defaults into the service, and the next
    deployment would see a change.
    """
    changes = Changes()
    for service in find_services(cluster.engines[BACKUP], stacks.web):
        variables = service.attrs["Spec"]["TaskTemplate"]["ContainerSpec"].get("Env") or []
        current = next((v for v in variables if v.startswith(f"{stacks.variable}=")), "")
        wanted = _ADDRESS.sub(lambda old: f"{old[1]}{master.public_ip}{old[2]}", current)
        if wanted == current:  # also a name: a person has it lead to the new manager
            continue
        command = "docker service update --detach --no-resolve-image --env-add "
        command += shlex.join([wanted, str(service.name)])
        run(cluster.connections[BACKUP], command, sudo=True)
        changes.add("service", str(service.name), wanted)
    return changes


def _wait_until_moved(
    leader: docker.DockerClient, target: Instance, stacks: Stacks, timeout_s: float
) -> None:
    """
    Wait for the services and the map: a rolled-back update would leave browsers the old address.
    """
    pair.wait_for_pinned(leader, target, timeout_s)
    if find_services(leader, stacks.web):
        wait_for_stack(leader, stacks.web, timeout_s)


def _wait_until_unreachable(cluster: Cluster) -> None:
    """
    Wait until the manager's peers do not reach it; after a hand-over it is a worker, which the
    Swarm lists without reachability, so port 22 is probed instead.
    """
    leader, manager, _ = _members(cluster)
    unanswered = 0
    address = shlex.quote(manager.private_ip)
    knock = f"timeout 2 bash -c '</dev/tcp/\"$1\"/22' - {address} 2>/dev/null && echo open"

    def probe() -> bool | Pending:
        nonlocal unanswered
        node = pair.get_node(leader, manager).attrs
        peer = node.get("ManagerStatus") or {}
        if node["Status"]["State"] == "down" or peer.get("Reachability") == "unreachable":
            return True
        answers = peer or "open" in run(cluster.connections[BACKUP], f"{knock} || true")
        unanswered = 0 if answers else unanswered + 1
        return unanswered >= _UNANSWERED or Pending("the Swarm still reaches it")

    wait_for(
        "The manager is unreachable",
        retry_api_errors(probe),
        timeout_s=45,
        next_step="nothing was moved: the manager answers. To move on purpose, stop it first",
    )


def _wait_until_back(leader: docker.DockerClient, manager: Instance, timeout_s: float) -> None:
    if manager.state != "running":
        raise NotFoundError(
            f"expected the manager to run; it is {manager.state}",
            next_step="run 01_instances: it starts stopped instances",
        )

    def probe() -> bool | Pending:
        node = pair.get_node(leader, manager).attrs
        reached = node.get("ManagerStatus", {}).get("Reachability") == "reachable"
        state = str(node["Status"]["State"])
        return (reached and state == "ready") or Pending(f"its node is {state}")

    wait_for("The manager is back in the Swarm", retry_api_errors(probe), timeout_s=timeout_s)


def _wait_until_idle(leader: docker.DockerClient, timeout_s: float) -> None:
    """
    Wait until none of the moving services still writes on `manager-backup`.
    """
    names = {str(service.name) for service in pair.find_pinned(leader)}

    def probe() -> bool | Pending:
        running = {c["Labels"].get(SERVICE) for c in leader.api.containers()}
        left = sorted(names & running)
        return Pending(f"{', '.join(left)} still running") if left else True

    wait_for("No service writes any more", probe, timeout_s=timeout_s)
