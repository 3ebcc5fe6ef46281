"""
What a drill can break: a process killed or hung, an instance stopped or cut off; and the way back.

Making a failure breaks nothing yet: it aims, and refuses a target that does not exist.
"""

from collections.abc import Callable
from dataclasses import dataclass

import docker

from runbook_lib import power, process_signals
from runbook_lib.changes import Changes
from runbook_lib.drill_cluster import WEB_MANAGER, DrillCluster
from runbook_lib.errors import NotFoundError
from runbook_lib.failover import fail_back, fail_over
from runbook_lib.instances import BACKUP, MANAGER
from runbook_lib.quorum_recovery import ensure_rejoined, force_new_cluster, has_majority
from runbook_lib.swarm import get_manager, node_id, wait_for_nodes

STOP, CUT_OFF = "stop", "cut off"
_OUTAGE_S = 20.0
"""Long enough to see that nobody acts."""


@dataclass(frozen=True)
class Failure:
    """
    One break.

    Parameters
    ----------
    hit
        The ids of the Swarm's tasks that it hits.
    node
        The role of the node that goes; "" where a process alone does.
    heals
        Whether work goes on before it is restored; else it is restored after `outage_s`.
    restore
        Makes it as before, as quickly as can be; happy if there is nothing to do.
    reach
        Opens the connection to what was restored, and waits until the Swarm has it.
    """

    name: str
    hit: tuple[str, ...]
    break_it: Callable[[], object]
    restore: Callable[[], Changes]
    reach: Callable[[], None] = lambda: None
    node: str = ""
    heals: bool = True
    outage_s: float = 0.0


def killed(here: DrillCluster, service: str, role: str) -> Failure:
    """
    A process of a service, killed on a node without a word to it.
    """
    victim = process_signals.find_victim(_engine(here, role), _name(here, service), role)
    return Failure(
        f"{service} killed",
        (process_signals.task_of(victim),),
        lambda: process_signals.send(victim, "SIGKILL"),
        Changes,
    )


def hung(here: DrillCluster, service: str, role: str) -> Failure:
    """
    A process of a service that stands still: it is there, and does nothing more.
    """
    victim = process_signals.find_victim(_engine(here, role), _name(here, service), role)

    def restore() -> Changes:
        changes = Changes()
        if process_signals.wake(victim):
            changes.add("process", f"{service} on {role}", "goes on")
        return changes

    return Failure(
        f"{service} hung",
        (process_signals.task_of(victim),),
        lambda: process_signals.send(victim, "SIGSTOP"),
        restore,
    )


def node_gone(here: DrillCluster, role: str, how: str) -> Failure:
    """
    A worker's instance, stopped or cut off.

    Raises
    ------
    NotFoundError
        Where there is no such worker, or nothing of the stack runs on it.
    """
    check_worker(here, role)
    hit = _tasks_on(here, role, [_name(here, "worker")])
    if not hit:
        raise NotFoundError(
            f"expected a worker process on {role}, found none",
            next_step="choose another drilled_node",
        )

    def break_it() -> None:
        act = power.stop if how == STOP else power.cut_off
        act(here.ec2, here.cluster, role)
        here.connections[role].close()

    return Failure(
        f"{role} {'stopped' if how == STOP else 'cut off'}",
        tuple(hit),
        break_it,
        lambda: _switch_on(here, role),
        lambda: _reach(here, role),
        node=role,
    )


def check_worker(here: DrillCluster, role: str) -> None:
    """
    Refuse a target that is no worker of the cluster.
    """
    workers = [r for r in here.nodes if r.startswith("worker-")]
    if role not in workers:
        raise NotFoundError(
            f"expected one of {', '.join(workers)} as the target, got {role!r}",
            next_step="set drilled_node",
        )


def _majority_lost(here: DrillCluster) -> Failure:
    """
    `admin-web` stopped: one of two managers, so that the other has no majority any more.

    Its way back is --force-new-cluster on the manager; admin-web then joins as a new node.
    """

    def restore() -> Changes:
        manager, nodes = here.manager, here.nodes
        changes = Changes()
        if not has_majority(manager):
            changes.extend(force_new_cluster(manager, nodes[MANAGER]))
        changes.extend(power.start(here.ec2, here.cluster, WEB_MANAGER))
        here.reopen(WEB_MANAGER)
        changes.extend(ensure_rejoined(here.engines, here.nodes, WEB_MANAGER))
        return changes

    def break_it() -> None:
        power.stop(here.ec2, here.cluster, WEB_MANAGER)
        here.connections[WEB_MANAGER].close()

    return Failure(
        f"{WEB_MANAGER} stopped",
        tuple(_tasks_on(here, WEB_MANAGER, [f"{here.stacks.web}_map"])),
        break_it,
        restore,
        node=WEB_MANAGER,
        heals=False,
        outage_s=_OUTAGE_S,
    )


def _manager_gone(here: DrillCluster) -> Failure:
    """
    The manager's instance stopped, and started again: the plain architecture has no other way.
    """
    names = {str(s.name) for s in here.manager.services.list()}

    def break_it() -> None:
        power.stop(here.ec2, here.cluster, MANAGER)
        here.connections[MANAGER].close()

    def restore() -> Changes:
        changes = _switch_on(here, MANAGER)
        here.reopen(MANAGER)
        get_manager(here.engines)  # once it is led, the stack can be put back
        return changes

    return Failure(
        f"{MANAGER} stopped",
        tuple(_tasks_on(here, MANAGER, sorted(names))),
        break_it,
        restore,
        lambda: _reach(here, MANAGER),
        node=MANAGER,
        heals=False,
        outage_s=_OUTAGE_S,
    )


def _manager_replaced(here: DrillCluster) -> Failure:
    """
    The manager's instance stopped, and its services moved to the one that stands by.
    """
    names = {str(s.name) for s in here.manager.services.list()}

    def break_it() -> None:
        power.stop(here.ec2, here.cluster, MANAGER)
        here.connections[MANAGER].close()
        here.master = BACKUP
        fail_over(here.pair)

    def restore() -> Changes:
        changes = _switch_on(here, MANAGER)
        here.reopen(MANAGER)
        changes.extend(fail_back(here.pair))
        here.master = MANAGER
        return changes

    return Failure(
        f"{MANAGER} stopped",
        tuple(_tasks_on(here, MANAGER, sorted(names))),
        break_it,
        restore,
        lambda: _reach(here, MANAGER),
        node=MANAGER,
    )


def of_the_managers(here: DrillCluster) -> dict[str, Callable[[], Failure]]:
    """
    What can happen to the managers that there are: two of the guide, or three with a stand-in.
    """
    if BACKUP in here.solutions:
        return {"the manager, replaced": lambda: _manager_replaced(here)}
    return {
        "the other manager": lambda: _majority_lost(here),
        "the manager": lambda: _manager_gone(here),
    }


def _switch_on(here: DrillCluster, role: str) -> Changes:
    changes = power.start(here.ec2, here.cluster, role)
    changes.extend(power.let_in(here.ec2, here.cluster))
    return changes


def _reach(here: DrillCluster, role: str) -> None:
    here.reopen(role)
    wait_for_nodes(here.manager, here.engines, timeout_s=120)


def _tasks_on(here: DrillCluster, role: str, services: list[str]) -> list[str]:
    filters = {"node": node_id(here.engines[role]), "desired-state": "running"}
    names = {s.id: str(s.name) for s in here.manager.services.list()}
    found = here.manager.api.tasks(filters=filters)
    return [str(t["ID"]) for t in found if names.get(t["ServiceID"]) in services]


def _engine(here: DrillCluster, role: str) -> docker.DockerClient:
    if role not in here.engines:
        raise NotFoundError(
            f"expected one of {', '.join(here.engines)} as the target, got {role!r}",
            next_step="set drilled_node",
        )
    return here.engines[role]


def _name(here: DrillCluster, service: str) -> str:
    return f"{here.stacks.work}_{service}"
