"""
The manager fails: its services go on on `manager-backup`; and, once it is back, they return.

Source: section "Disponibilidad" of the guide, solution 1. Whether to move is the operator's
decision, or a drill's: a manager that is only cut off would go on writing. Lost is what lies on no
other machine: the messages in the broker (the dealer deals again what has no result), and results
that were written after the last backup (they are computed again). Secrets and services are in the
Swarm's own log, which a majority of the managers holds.

Each function can be killed anywhere and called again.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import docker
import fabric

from runbook_lib.availability.standby import tiles_backup
from runbook_lib.availability.standby.master_label import (
    MASTER,
    STANDBY,
    find_master,
    find_pinned,
    get_node,
    hand_over,
    set_node,
    wait_for_new_leader,
    wait_for_pinned,
)
from runbook_lib.availability.standby.readiness import forget_volumes
from runbook_lib.cloud.instances import Instance
from runbook_lib.cloud.roles import BACKUP, MANAGER
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import CommandError, NotFoundError
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.hosts.ssh import run
from runbook_lib.stacks.containers import SERVICE, find_services
from runbook_lib.stacks.convergence import convergence
from runbook_lib.swarm.managers import retry_api_errors
from runbook_lib.swarm.membership import find_manager

REGISTRY = "registry"
LEADER_TIMEOUT_S = 60.0
_SILENT_LOOKS = 3
"""In a row: one connection that is refused is no proof."""


@dataclass(frozen=True)
class Stacks:
    """
    The names of the stacks, and the variable by which the web stack is told where the tiles are.
    """

    work: str = "geo-diff-work"
    web: str = "geo-diff-web"
    variable: str = "TILES_URL"
    tiles_port: int = 5000


@dataclass(frozen=True)
class Pair:
    """
    The two managers that stand in for each other; one that is down has no connection, no client.
    """

    instances: Mapping[str, Instance]
    connections: Mapping[str, fabric.Connection]
    clients: Mapping[str, docker.DockerClient]
    stacks: Stacks

    @property
    def leader(self) -> docker.DockerClient:
        """
        The client of `manager-backup`, which lives in a failover and in its end.
        """
        return self.clients[BACKUP]


def fail_over(pair: Pair, timeout_s: float = 180) -> Changes:
    """
    Let `manager-backup` take the manager's place; waits until its services run there.

    Raises
    ------
    WaitTimeoutError
        Where the manager still answers (nothing is moved then), or a service does not start.
    """
    changes = Changes()
    leader, backup = pair.leader, pair.instances[BACKUP]
    wait_for_new_leader(leader, pair.instances[MANAGER], LEADER_TIMEOUT_S)
    if find_master(leader, pair.instances) != BACKUP:
        _wait_until_missed(pair)
        # from here on the tiles on manager-backup are the ones in use: no copy over them
        tiles_backup.stop_timer(pair.connections[BACKUP])
        if get_node(leader, backup).attrs["Spec"]["Availability"] == "drain":
            changes.extend(forget_volumes(leader, [pair.stacks.work, REGISTRY]))
        changes.extend(hand_over(leader, pair.instances[MANAGER], backup))
    changes.extend(_tell_the_map(pair, backup))
    wait_for_pinned(leader, backup, timeout_s)
    _wait_for_the_map(pair, timeout_s)
    return changes


def fail_back(pair: Pair, timeout_s: float = 300) -> Changes:
    """
    Give the manager its place back, with the results that were written in the meantime.

    They are copied twice: while the application runs, and the rest while nothing writes.
    """
    changes = Changes()
    leader, manager, backup = pair.leader, pair.instances[MANAGER], pair.instances[BACKUP]
    _wait_until_back(leader, manager, timeout_s)
    if find_master(leader, pair.instances) != MANAGER:
        tiles_backup.stop_timer(pair.connections[BACKUP])
        tiles_backup.copy_now(pair.connections[MANAGER])
        changes.extend(set_node(leader, manager, STANDBY, "drain"))
        changes.extend(set_node(leader, backup, STANDBY, "drain"))
        _wait_until_idle(leader, pair.clients[BACKUP], timeout_s)
        copied = tiles_backup.copy_now(pair.connections[MANAGER])
        changes.add("tiles", MANAGER, f"has all {copied['files']:g} files of {BACKUP}")
        changes.extend(forget_volumes(pair.clients[MANAGER], [pair.stacks.work]))
        changes.extend(set_node(leader, manager, MASTER, "active"))
    changes.extend(_stand_by(pair))
    wait_for_pinned(leader, manager, timeout_s)
    _wait_for_the_map(pair, timeout_s)
    changes.extend(forget_volumes(pair.clients[BACKUP], [pair.stacks.work, REGISTRY]))
    return changes


def ensure_returned(pair: Pair) -> Changes:
    """
    Fail back, or end what a killed one began; nothing to do where all is at home.
    """
    backup = find_manager(pair.clients, BACKUP)
    if backup is None:
        return Changes()
    return _stand_by(pair) if find_master(backup, pair.instances) == MANAGER else fail_back(pair)


def _stand_by(pair: Pair) -> Changes:
    """
    Let the map know that the manager has the tiles, and `manager-backup` copy them.
    """
    changes = _tell_the_map(pair, pair.instances[MANAGER])
    changes.extend(set_node(pair.leader, pair.instances[BACKUP], STANDBY, "drain"))
    if tiles_backup.start_timer(pair.connections[BACKUP]):
        changes.add("backup", BACKUP, "timer started")
    return changes


def _tell_the_map(pair: Pair, master: Instance) -> Changes:
    """
    The page tells browsers where the tiles are: a public address, and now another one.

    By the command line: the SDK would write its defaults into the service, and the next deployment
    would find it changed.
    """
    changes = Changes()
    wanted = f"{pair.stacks.variable}=http://{master.public_ip}:{pair.stacks.tiles_port}"
    for service in find_services(pair.leader, pair.stacks.web):
        held = service.attrs["Spec"]["TaskTemplate"]["ContainerSpec"].get("Env") or []
        if not any(v.startswith(f"{pair.stacks.variable}=") for v in held) or wanted in held:
            continue
        command = ["docker", "service", "update", "--detach", "--no-resolve-image"]
        command += ["--env-add", wanted, str(service.name)]
        run(pair.connections[BACKUP], shlex.join(command), sudo=True)
        changes.add("service", str(service.name), wanted)
    return changes


def _wait_for_the_map(pair: Pair, timeout_s: float) -> None:
    """
    An update that Swarm rolled back would leave browsers with the address of the other one.
    """

    def probe() -> bool | Pending:
        services = find_services(pair.leader, pair.stacks.web)
        states = [convergence(pair.leader, service) for service in services]
        failed = [f"{s.service}: {s.failure}" for s in states if s.failure]
        if failed:
            raise CommandError(
                "expected the web stack to take the new address; it did not",
                evidence="\n".join(failed),
                next_step="docker service ps --no-trunc  of that service, on a manager",
            )
        waiting = [f"{s.service} {s.reason}" for s in states if not s.done]
        return Pending("; ".join(waiting)) if waiting else True

    wait_for("The web stack knows the new address", probe, timeout_s=timeout_s)


def _wait_until_missed(pair: Pair) -> None:
    """
    Until its peers do not reach it; one that handed the lead over is no peer, and is asked itself.
    """
    manager, silent = pair.instances[MANAGER], 0
    knock = (
        f"timeout 2 bash -c '</dev/tcp/{manager.private_ip}/22' 2>/dev/null && echo open || true"
    )

    def probe() -> bool | Pending:
        nonlocal silent
        node = get_node(pair.leader, manager).attrs
        peer = node.get("ManagerStatus") or {}
        if node["Status"]["State"] == "down" or peer.get("Reachability") == "unreachable":
            return True
        answers = peer or "open" in run(pair.connections[BACKUP], knock)
        silent = 0 if answers else silent + 1
        return silent >= _SILENT_LOOKS or Pending("the Swarm still reaches it")

    wait_for(
        "The manager is missed",
        retry_api_errors(probe),
        timeout_s=45,
        next_step="nothing was moved: the manager answers. To move on purpose, stop it first",
    )


def _wait_until_back(leader: docker.DockerClient, manager: Instance, timeout_s: float) -> None:
    if manager.state != "running":
        raise NotFoundError(
            f"expected the manager to run; it is {manager.state}",
            next_step="run 01_instances: it starts what is stopped",
        )

    def probe() -> bool | Pending:
        node = get_node(leader, manager).attrs
        reached = node.get("ManagerStatus", {}).get("Reachability") == "reachable"
        state = str(node["Status"]["State"])
        return (reached and state == "ready") or Pending(f"its node is {state}")

    wait_for("The manager is back in the Swarm", retry_api_errors(probe), timeout_s=timeout_s)


def _wait_until_idle(
    leader: docker.DockerClient, engine: docker.DockerClient, timeout_s: float
) -> None:
    """
    Until none of the services that are to move writes on this engine any more.
    """
    names = {str(service.name) for service in find_pinned(leader)}

    def probe() -> bool | Pending:
        running = [c["Labels"].get(SERVICE) for c in engine.api.containers()]
        left = sorted(names & set(running))
        return Pending(f"{', '.join(left)} still at work", 0, 0) if left else True

    wait_for("Nothing writes any more", probe, timeout_s=timeout_s)
