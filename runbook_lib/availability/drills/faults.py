"""
The faults that a drill injects: a process killed or hung, a node stopped or cut off.

Making a `Fault` changes nothing yet: it selects the target, and refuses one that does not exist.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

from runbook_lib.availability.drills.ground import DrillCluster
from runbook_lib.availability.drills.process_signals import get_oldest_container, resume_process
from runbook_lib.cloud import launch, power
from runbook_lib.core.errors import NotFoundError
from runbook_lib.swarm.membership import node_id, wait_for_nodes

KILLED, HUNG = "killed", "hung"
STOP = "stop"
_SIGNALS = {KILLED: "SIGKILL", HUNG: "SIGSTOP"}
_TASK = "com.docker.swarm.task.id"


@dataclass(frozen=True)
class Fault:
    """
    One fault, and how it is restored.

    Parameters
    ----------
    tasks
        The ids of the Swarm tasks that fail.
    restore
        Undoes the fault as quickly as possible; happy if there is nothing to do.
    reconnect
        Opens the connection to the restored node, and waits until the Swarm sees it.
    node
        The role of the node that fails; "" where only a process does.
    recovers
        Whether work continues before `restore`; otherwise it is called after `outage_s`.
    """

    name: str
    tasks: tuple[str, ...]
    inject: Callable[[], object]
    restore: Callable[[], object]
    reconnect: Callable[[], None] = lambda: None
    node: str = ""
    recovers: bool = True
    outage_s: float = 0.0


def process_fails(here: DrillCluster, service: str, role: str, how: str) -> Fault:
    """
    A process of a service on a node, killed or hung: then it exists, and does nothing.
    """
    _check_target(role, here.engines)
    process = get_oldest_container(here.engines[role], here.service(service), role)
    return Fault(
        f"{service} {how}",
        (str(process.labels[_TASK]),),
        partial(process.kill, _SIGNALS[how]),
        partial(resume_process, process, role),
    )


def node_fails(here: DrillCluster, role: str, how: str) -> Fault:
    """
    A worker's instance, stopped or cut off.

    Raises
    ------
    NotFoundError
        Where there is no such worker, or no worker process runs on it.
    """
    check_worker(here, role)
    tasks = find_running_tasks(here, role, [here.service("worker")])
    if not tasks:
        raise NotFoundError(
            f"expected a worker process on {role}, found none",
            next_step="choose another drilled_node",
        )

    return Fault(
        f"{role} {'stopped' if how == STOP else 'cut off'}",
        tasks,
        partial(take_down, here, role, how),
        partial(restore_instance, here, role),
        partial(reconnect, here, role),
        node=role,
    )


def check_worker(here: DrillCluster, role: str) -> None:
    """
    Refuse a target that is no worker of the cluster.
    """
    _check_target(role, [r for r in here.instances if r.startswith("worker-")])


def _check_target(role: str, targets: Collection[str]) -> None:
    if role not in targets:
        raise NotFoundError(
            f"expected one of {', '.join(targets)} as the target, got {role!r}",
            next_step="set drilled_node",
        )


def take_down(here: DrillCluster, role: str, how: str = STOP) -> None:
    """
    Stop an instance or cut it off, and close the connection to it.
    """
    act = power.stop if how == STOP else power.cut_off
    act(here.ec2, here.name, role)
    here.connections[role].close()


def restore_instance(here: DrillCluster, role: str) -> None:
    """
    Start an instance, and restore its security groups.
    """
    launch.start(here.ec2, here.name, role)
    power.restore_groups(here.ec2, here.name)


def reconnect(here: DrillCluster, role: str) -> None:
    """
    Open the connection to a restored instance, and wait until the Swarm sees its node.
    """
    here.reopen(role)
    wait_for_nodes(here.manager, here.engines, timeout_s=120)


def find_running_tasks(here: DrillCluster, role: str, services: Collection[str]) -> tuple[str, ...]:
    """
    The ids of the tasks of these services that should run on a node.
    """
    filters = {"node": node_id(here.engines[role]), "desired-state": "running"}
    names = {s.id: str(s.name) for s in here.manager.services.list()}
    tasks = here.manager.api.tasks(filters=filters)
    return tuple(str(t["ID"]) for t in tasks if names.get(t["ServiceID"]) in services)
