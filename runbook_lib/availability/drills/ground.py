"""
The cluster that a drill works on: put right first, refused where it is not healthy, left as found.

What a killed drill left is found on the live cluster: an instance that is stopped or in no group of
its role, a process that is stopped, a stack on other tiles. Nothing about it is kept elsewhere.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import docker
import fabric

from runbook_lib.availability.drills.process_signals import wake_up
from runbook_lib.availability.standby.failover import Pair, Stacks, ensure_returned
from runbook_lib.cloud import power
from runbook_lib.cloud.instances import Instance, find_instances, get_instances
from runbook_lib.cloud.roles import BACKUP, MANAGER, MANAGERS, WEB
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, WaitTimeoutError
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.geodiff import web
from runbook_lib.geodiff.broker import ManagementApi, open_management_api
from runbook_lib.geodiff.tiles import DataSet
from runbook_lib.hosts import ssh
from runbook_lib.hosts.docker_ssh import docker_clients
from runbook_lib.load.experiment import load_stack, load_tiles
from runbook_lib.stacks.containers import find_services
from runbook_lib.stacks.convergence import convergence
from runbook_lib.stacks.deploy import find_stacks
from runbook_lib.stacks.overlays import find_overlays
from runbook_lib.swarm import membership
from runbook_lib.swarm.managers import count_managers
from runbook_lib.swarm.recovery import ensure_rejoined

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

_SETTLE_S = 150.0


@dataclass
class DrillCluster:
    """
    A healthy cluster with every connection open; they outlive a stop and start of an instance.
    """

    ec2: "EC2Client"
    cluster: str
    key_file: str
    data: DataSet
    stacks: Stacks
    nodes: dict[str, Instance] = field(default_factory=dict)
    connections: dict[str, fabric.Connection] = field(default_factory=dict)
    engines: dict[str, docker.DockerClient] = field(default_factory=dict)
    righted: Changes = field(default_factory=Changes)
    master: str = MANAGER

    @property
    def manager(self) -> docker.DockerClient:
        """
        The client of the engine that has the manager's services.
        """
        return self.engines[self.master]

    @property
    def disk(self) -> fabric.Connection:
        """
        The connection to the node that has the tiles in use.
        """
        return self.connections[self.master]

    @property
    def disks(self) -> list[fabric.Connection]:
        """
        The connections to all nodes that have, or may have, the tiles in use.
        """
        return [self.connections[r] for r in (MANAGER, BACKUP) if r in self.connections]

    @property
    def pair(self) -> Pair:
        """
        The two managers that stand in for each other, those that live.
        """
        return Pair(self.nodes, self.connections, self.engines, self.stacks)

    @property
    def managers(self) -> dict[str, fabric.Connection]:
        """
        The connections to those who can be asked about the Swarm.
        """
        roles = MANAGERS
        return {role: self.connections[role] for role in roles if role in self.connections}

    @property
    def broker(self) -> ManagementApi:
        """
        The management API of the broker that runs now.
        """
        service = f"{self.stacks.work}_rabbitmq"
        return open_management_api(self.disk, self.manager, service)

    @property
    def addresses(self) -> web.Addresses:
        """
        Where the page and the tiles are.
        """
        return web.addresses({**self.nodes, MANAGER: self.nodes[self.master]})

    @property
    def solutions(self) -> tuple[str, ...]:
        """
        What is switched on, as it is found: a third manager, and what is laid over the stack.
        """
        overlays = find_overlays(self.manager, self.stacks.work)
        names = [path.rpartition("/")[2].removesuffix(".yml") for path in overlays]
        third = BACKUP in self.nodes and count_managers(self.manager).managers > 2
        return tuple(sorted([*names, *([BACKUP] if third else [])]))

    def reopen(self, role: str) -> None:
        """
        Find an instance again after it was started, and open its connection.
        """
        self.nodes[role] = power.get_instance(self.ec2, self.cluster, role)
        ssh.reopen(self.connections[role], self.nodes[role], self.key_file, timeout_s=120)

    def tasks(self) -> list[dict[str, Any]]:
        """
        Every task of the Swarm's history that it still has.
        """
        return list(self.manager.api.tasks())


def enter(
    ec2: "EC2Client", cluster: str, key_file: str, data: DataSet, stacks: Stacks
) -> DrillCluster:
    """
    Put right what a killed drill left, open every connection, and refuse what is not healthy.

    Raises
    ------
    ConflictError
        Naming all that is wrong; nothing was broken.
    """
    here = DrillCluster(ec2, cluster, key_file, data, stacks)
    righted = here.righted
    for instance in find_instances(ec2, cluster):
        if instance.state != "running":
            righted.extend(power.start(ec2, cluster, instance.role))
    righted.extend(power.let_in(ec2, cluster))
    here.nodes = get_instances(ec2, cluster)
    here.connections = ssh.connect_all(list(here.nodes.values()), key_file, timeout_s=120)
    here.engines = docker_clients(here.connections)
    membership.get_manager(here.engines)
    if stacks.web in find_stacks(here.manager):
        righted.extend(ensure_rejoined(here.engines, here.nodes, WEB))
    if BACKUP in here.nodes:
        righted.extend(ensure_returned(here.pair))
    righted.extend(wake_up(here.engines, stacks.work))
    _wait_until_healthy(here, _SETTLE_S if righted else _SETTLE_S / 5)
    righted.extend(load_stack.ensure_put_back(here.manager, here.broker, stacks.work))
    for disk in here.disks:
        righted.extend(load_tiles.remove_load_tiles(disk))
    _wait_until_healthy(here, _SETTLE_S)
    return here


def _unhealthy(here: DrillCluster) -> list[str]:
    """
    What is wrong with the cluster, in words: nodes, the managers' majority, services.
    """
    wrong = []
    table = membership.node_table(here.manager, here.nodes)
    for role in (r for r in here.nodes if r not in set(table["role"])):
        wrong.append(f"{role} is no node of the Swarm")
    for node in table.itertuples():
        drained = node.availability != "active" and node.role != BACKUP
        if node.state != "ready" or drained:
            wrong.append(f"node {node.role} is {node.state} and {node.availability}")
    # what a killed drill left at rest, or on tiles that are gone, is put back once the rest is well
    kept = load_stack.find_kept(here.manager, here.stacks.work)
    awaited = {f"{here.stacks.work}_{name}" for name in load_stack.SWITCHED if kept}
    quorum = count_managers(here.manager)
    if quorum.unreachable:
        wrong.append(f"managers: {quorum!r}")
    for stack, notebook in ((here.stacks.work, "06_work_stack"), (here.stacks.web, "07_web_stack")):
        services = find_services(here.manager, stack)
        states = [convergence(here.manager, service) for service in services]
        wrong += [] if states else [f"no stack {stack}: run {notebook}"]
        wrong += [
            f"{s.service}: {s.running} of {s.wanted} run {s.failure or s.reason}".strip()
            for s in states
            if s.service not in awaited and not (s.done and s.wanted)
        ]
    return wrong


def wait_until_healthy(here: DrillCluster, timeout_s: float = _SETTLE_S) -> list[str]:
    """
    Wait until nothing is wrong; what still is after that, for a check to judge.
    """
    try:
        _wait_until_healthy(here, timeout_s)
    except ConflictError:
        return _unhealthy(here)
    return []


def _wait_until_healthy(here: DrillCluster, timeout_s: float) -> None:
    def probe() -> bool | Pending:
        wrong = _unhealthy(here)
        return Pending("; ".join(wrong)) if wrong else True

    try:
        wait_for("The cluster is healthy", probe, timeout_s=timeout_s, poll_s=1)
    except WaitTimeoutError as error:
        raise ConflictError(
            "expected a healthy cluster before anything is broken; it is not",
            evidence="\n".join(_unhealthy(here)),
            next_step="run the notebooks 01 to 07: each puts its part right",
        ) from error
