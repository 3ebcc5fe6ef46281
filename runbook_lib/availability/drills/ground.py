"""
The cluster of a drill: restored after killed drills, and refused unless healthy.

Traces of a killed drill are found on the live cluster: an instance that is stopped or not in the
groups of its role, a stopped process, a stack on other tiles. There is no other record.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import docker
import fabric
from docker.errors import APIError
from docker.models.containers import Container

from runbook_lib.availability.drills.times import TaskHistory
from runbook_lib.availability.standby.failover import Stacks, ensure_returned
from runbook_lib.cloud import launch, power
from runbook_lib.cloud.aws import Place
from runbook_lib.cloud.instances import find_instances, get_instance
from runbook_lib.cloud.roles import BACKUP, MANAGER, MANAGERS, WEB
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError
from runbook_lib.core.wait import wait_until_none
from runbook_lib.geodiff import tls, web
from runbook_lib.geodiff.management_api import ManagementApi, open_management_api
from runbook_lib.geodiff.tiles import DataSet
from runbook_lib.hosts import ssh
from runbook_lib.hosts.clusters import Cluster, get_cluster
from runbook_lib.load.experiment import load_stack, load_tiles
from runbook_lib.stacks.deploy import find_overlays, find_stacks
from runbook_lib.stacks.running.containers import SERVICE, find_services, in_stack
from runbook_lib.stacks.running.convergence import convergence
from runbook_lib.swarm import membership
from runbook_lib.swarm.managers import count_managers
from runbook_lib.swarm.recovery import ensure_rejoined

_SETTLE_S = 150.0


@dataclass(kw_only=True)
class DrillCluster(Cluster):
    """
    A healthy cluster with every connection open; they survive a stop and start of an instance.

    Parameters
    ----------
    repairs
        The repairs after a killed drill.
    master
        The role of the node with the manager's services, and with the tiles in use.
    """

    data: DataSet
    stacks: Stacks
    repairs: Changes
    master: str = MANAGER
    pin: str = ""
    """The SHA-256 of the map's certificate, if it has one."""

    @property
    def manager(self) -> docker.DockerClient:
        return self.engines[self.master]

    @property
    def disk(self) -> fabric.Connection:
        return self.connections[self.master]

    @property
    def disks(self) -> list[fabric.Connection]:
        """
        The connections to nodes with the tiles in use, or with those tiles after a failover.
        """
        return [self.connections[r] for r in (MANAGER, BACKUP) if r in self.connections]

    @property
    def managers(self) -> dict[str, fabric.Connection]:
        return {role: self.connections[role] for role in MANAGERS if role in self.connections}

    @property
    def broker(self) -> ManagementApi:
        return open_management_api(self.disk, self.manager, self.service("rabbitmq"))

    @property
    def addresses(self) -> web.Addresses:
        return web.addresses({**self.instances, MANAGER: self.instances[self.master]}, pin=self.pin)

    @property
    def solutions(self) -> tuple[str, ...]:
        """
        The guide's solutions that are deployed: overlays of the stack, and a third manager.
        """
        overlays = find_overlays(self.manager, self.stacks.work)
        names = [path.rpartition("/")[2].removesuffix(".yml") for path in overlays]
        third = BACKUP in self.instances and count_managers(self.manager).managers > 2
        return tuple(sorted([*names, *([BACKUP] if third else [])]))

    def service(self, name: str) -> str:
        """
        Return the full name of a service of the work stack.
        """
        return f"{self.stacks.work}_{name}"

    def tasks(self) -> TaskHistory:
        return {str(task["ID"]): task for task in self.manager.api.tasks()}

    def reopen(self, role: str) -> None:
        """
        Reopen the connection to an instance after a start; its address may have changed.
        """
        self.instances[role] = get_instance(self.ec2, self.name, role)
        ssh.reopen(self.connections[role], self.instances[role], self.key_file, timeout_s=120)


def get_drill_cluster(
    name: str, key_file: str, place: Place, data: DataSet, stacks: Stacks
) -> DrillCluster:
    """
    Repair the effects of a killed drill, open every connection, and require a healthy cluster.

    Raises ConflictError with every problem; nothing was broken.
    """
    repairs, ec2 = Changes(), place.client("ec2")
    for instance in find_instances(ec2, name):
        if instance.state != "running":
            repairs.extend(launch.start(ec2, name, instance.role))
    repairs.extend(power.restore_groups(ec2, name))
    cluster = get_cluster(name, key_file, place)
    here = DrillCluster(**vars(cluster), data=data, stacks=stacks, repairs=repairs)
    # a just started instance needs longer than usual
    here.connections = ssh.connect_all(list(here.instances.values()), key_file, timeout_s=120)
    membership.get_manager(here.engines)
    here.pin = tls.find_pin(here.manager, stacks.web)
    if stacks.web in find_stacks(here.manager):
        repairs.extend(ensure_rejoined(here.engines, here.instances, WEB))
    if BACKUP in here.instances:
        repairs.extend(ensure_returned(here, here.stacks))
    repairs.extend(_resume_processes(here.engines, stacks.work))
    _require_health(here, _SETTLE_S if repairs else _SETTLE_S / 5)
    repairs.extend(load_stack.ensure_put_back(here.manager, here.broker, stacks.work))
    for disk in here.disks:
        repairs.extend(load_tiles.remove_load_tiles(disk))
    _require_health(here, _SETTLE_S)
    return here


def _find_problems(here: DrillCluster) -> list[str]:
    table = membership.node_table(here.manager, here.instances)
    missing = here.instances.keys() - set(table["role"])
    problems = [f"{role} is no node of the Swarm" for role in here.instances if role in missing]
    for node in table.itertuples():
        drained = node.availability != "active" and node.role != BACKUP
        if node.state != "ready" or drained:
            problems.append(f"node {node.role} is {node.state} and {node.availability}")
    quorum = count_managers(here.manager)
    if quorum.unreachable:
        problems.append(f"managers: {quorum!r}")
    # services that a killed drill left scaled to 0, or on missing tiles, are restored later
    kept = load_stack.find_kept(here.manager, here.stacks.work)
    skipped = [here.service(name) for name in load_stack.SWITCHED if kept]
    for stack, notebook in ((here.stacks.work, "06_work_stack"), (here.stacks.web, "07_web_stack")):
        states = [convergence(here.manager, s) for s in find_services(here.manager, stack)]
        problems += [] if states else [f"no stack {stack}: run {notebook}"]
        problems += [
            f"{s.service}: {s.running} of {s.wanted} run {s.failure or s.reason}".strip()
            for s in states
            if s.service not in skipped and not (s.done and s.wanted)
        ]
    return problems


def wait_until_healthy(here: DrillCluster, timeout_s: float = _SETTLE_S) -> list[str]:
    """
    Wait until there is no problem; return the remaining ones, for a check.
    """
    return wait_until_none(
        "A healthy cluster", lambda: _find_problems(here), timeout_s=timeout_s, poll_s=1
    )


def _require_health(here: DrillCluster, timeout_s: float) -> None:
    if problems := wait_until_healthy(here, timeout_s):
        raise ConflictError(
            "expected a healthy cluster before the drill; it is not",
            evidence="\n".join(problems),
            next_step="run the notebooks 01 to 07: each restores its part",
        )


def resume_process(container: Container, role: str) -> Changes:
    """
    Send SIGCONT to a process stopped by SIGSTOP.
    """
    changes = Changes()
    try:
        processes = container.top(ps_args="-o pid,stat").get("Processes") or []
        if any(str(row[1]).startswith("T") for row in processes):
            container.kill("SIGCONT")
            changes.add("process", f"{container.labels[SERVICE]} on {role}", "resumed")
    except APIError:  # killed meanwhile, as expected by the drill
        pass
    return changes


def _resume_processes(engines: Mapping[str, docker.DockerClient], stack: str) -> Changes:
    changes = Changes()
    filters = {**in_stack(stack), "status": "running"}
    for role, engine in engines.items():
        for container in engine.containers.list(filters=filters, ignore_removed=True):
            changes.extend(resume_process(container, role))
    return changes
