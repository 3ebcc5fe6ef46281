"""
The faults of the drills: a process killed or hung, a worker's node stopped or cut off, a manager
stopped.

Creating a `Fault` changes nothing yet: it selects the target, and refuses a missing one.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

from runbook_lib.availability.drills.ground import DrillCluster, resume_process
from runbook_lib.availability.standby.failover import fail_back, fail_over
from runbook_lib.cloud import launch, power
from runbook_lib.cloud.roles import BACKUP, MANAGER, WEB
from runbook_lib.core.errors import NotFoundError
from runbook_lib.stacks.running.containers import find_containers
from runbook_lib.swarm import recovery
from runbook_lib.swarm.managers import ensure_leader
from runbook_lib.swarm.membership import get_manager, node_id, wait_for_nodes

Act = Callable[[], object]
KILLED, HUNG = "killed", "hung"
STOP = "stop"
_SIGNALS = {KILLED: "SIGKILL", HUNG: "SIGSTOP"}


@dataclass(frozen=True)
class Fault:
    """
    One fault, and its restore.

    Parameters
    ----------
    tasks
        The ids of the Swarm tasks that fail.
    restore
        Undoes the fault as quickly as possible; succeeds if there is nothing to do.
    reconnect
        Opens the connection to the restored node, and waits until the Swarm sees it.
    node
        The role of the node that fails; "" where only a process does.
    recovers
        Whether work continues before `restore`, which is otherwise called after an outage.
    """

    name: str
    tasks: tuple[str, ...]
    inject: Act
    restore: Act
    reconnect: Callable[[], None] = lambda: None
    node: str = ""
    recovers: bool = True


def process_fails(here: DrillCluster, service: str, role: str, how: str) -> Fault:
    """
    Create the fault of a service's process on a node, killed or hung (existing, but idle).
    """
    _check_target(role, here.engines)
    name = here.service(service)
    running = find_containers(here.engines[role], name)
    if not running:
        raise NotFoundError(
            f"expected a running container of {name} on {role}, found none",
            next_step=f"choose a node that runs one:  docker service ps {name}",
        )
    process = min(running, key=lambda c: str(c.attrs["State"]["StartedAt"]))  # the oldest
    return Fault(
        f"{service} {how}",
        (str(process.labels["com.docker.swarm.task.id"]),),
        partial(process.kill, _SIGNALS[how]),
        partial(resume_process, process, role),
    )


def node_fails(here: DrillCluster, role: str, how: str) -> Fault:
    """
    Create the fault of a worker's instance, stopped or cut off.

    Raises NotFoundError if there is no such worker, or no worker process runs on it.
    """
    check_worker(here, role)
    tasks = _find_tasks(here, role, [here.service("worker")])
    if not tasks:
        raise NotFoundError(
            f"expected a worker process on {role}, found none",
            next_step="choose another drilled_node",
        )
    return Fault(
        f"{role} {'stopped' if how == STOP else 'cut off'}",
        tasks,
        partial(_take_down, here, role, how),
        partial(_restore_instance, here, role),
        partial(_reconnect, here, role),
        node=role,
    )


def check_worker(here: DrillCluster, role: str) -> None:
    _check_target(role, [r for r in here.instances if r.startswith("worker-")])


def _check_target(role: str, targets: Collection[str]) -> None:
    if role not in targets:
        raise NotFoundError(
            f"expected one of {', '.join(targets)} as the target, got {role!r}",
            next_step="set drilled_node",
        )


def _take_down(here: DrillCluster, role: str, how: str = STOP) -> None:
    act = power.stop if how == STOP else power.cut_off
    act(here.ec2, here.name, role)
    here.connections[role].close()


def _restore_instance(here: DrillCluster, role: str) -> None:
    launch.start(here.ec2, here.name, role)
    power.restore_groups(here.ec2, here.name)


def _reconnect(here: DrillCluster, role: str) -> None:
    here.reopen(role)
    wait_for_nodes(here.manager, here.engines, timeout_s=120)


def _find_tasks(here: DrillCluster, role: str, services: Collection[str]) -> tuple[str, ...]:
    # the ids of the tasks of these services that should run on a node
    filters = {"node": node_id(here.engines[role]), "desired-state": "running"}
    names = {s.id: str(s.name) for s in here.manager.services.list()}
    tasks = here.manager.api.tasks(filters=filters)
    return tuple(str(t["ID"]) for t in tasks if names.get(t["ServiceID"]) in services)


def manager_faults(here: DrillCluster) -> dict[str, Callable[[], Fault]]:
    """
    Return the faults of the existing managers: two in the guide, three with `manager-backup`.
    """
    if BACKUP in here.solutions:
        return {"the manager, replaced": partial(_manager_replaced, here)}
    return {
        "the other manager": partial(_majority_lost, here),
        "the manager": partial(_manager_lost, here),
    }


def _majority_lost(here: DrillCluster) -> Fault:
    # Recovery is --force-new-cluster on the other manager; admin-web then joins as a new node.
    def restore() -> None:
        if not recovery.has_majority(here.manager):
            recovery.force_new_cluster(here.manager, here.instances[MANAGER])
        launch.start(here.ec2, here.name, WEB)
        here.reopen(WEB)
        recovery.ensure_rejoined(here.engines, here.instances, WEB)

    return Fault(
        f"{WEB} stopped",
        _find_tasks(here, WEB, [f"{here.stacks.web}_map"]),
        partial(_take_down, here, WEB),
        restore,
        node=WEB,
        recovers=False,
    )


def _manager_lost(here: DrillCluster) -> Fault:
    # the guide's architecture has no other recovery than starting it again
    wait_for_leader = partial(get_manager, here.engines)  # then the stack can be restored
    return _manager_stopped(here, lambda: None, wait_for_leader, recovers=False)


def _manager_replaced(here: DrillCluster) -> Fault:
    # It is the leader when it stops, which is the harder case. The previous leader needs the whole
    # log when the lead is transferred, and it may have just rejoined as a manager.
    recovery.compact_raft_log(here.manager)
    ensure_leader(here.engines, here.instances, MANAGER)

    def move() -> None:
        here.master = BACKUP
        fail_over(here, here.stacks)

    def move_back() -> None:
        fail_back(here, here.stacks)
        here.master = MANAGER

    return _manager_stopped(here, move, move_back, recovers=True)


def _manager_stopped(here: DrillCluster, replace: Act, take_back: Act, *, recovers: bool) -> Fault:
    # the operator's actions: `replace` after the stop, `take_back` after the start
    names = {str(s.name) for s in here.manager.services.list()}

    def inject() -> None:
        _take_down(here, MANAGER)
        replace()

    def restore() -> None:
        _restore_instance(here, MANAGER)
        here.reopen(MANAGER)
        take_back()

    return Fault(
        f"{MANAGER} stopped",
        _find_tasks(here, MANAGER, names),
        inject,
        restore,
        partial(_reconnect, here, MANAGER),
        node=MANAGER,
        recovers=recovers,
    )
