"""
What a drill can break: a process killed or hung, a node stopped or cut off; and the way back.

Making a failure breaks nothing yet: it aims, and refuses a target that does not exist.
"""

from collections.abc import Callable
from dataclasses import dataclass

import docker

from runbook_lib.availability.drills import process_signals
from runbook_lib.availability.drills.ground import DrillCluster
from runbook_lib.cloud import power
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import NotFoundError
from runbook_lib.swarm.membership import node_id, wait_for_nodes

STOP, CUT_OFF = "stop", "cut off"


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
    return _of_process(here, service, role, "SIGKILL", "killed")


def hung(here: DrillCluster, service: str, role: str) -> Failure:
    """
    A process of a service that stands still: it is there, and does nothing more.
    """
    return _of_process(here, service, role, "SIGSTOP", "hung")


def node_gone(here: DrillCluster, role: str, how: str) -> Failure:
    """
    A worker's instance, stopped or cut off.

    Raises
    ------
    NotFoundError
        Where there is no such worker, or nothing of the stack runs on it.
    """
    check_worker(here, role)
    hit = tasks_on(here, role, [_name(here, "worker")])
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
        lambda: switch_on(here, role),
        lambda: reach(here, role),
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


def _of_process(
    here: DrillCluster, service: str, role: str, signal_name: str, what: str
) -> Failure:
    victim = process_signals.find_victim(_engine(here, role), _name(here, service), role)

    def restore() -> Changes:
        changes = Changes()
        if process_signals.wake(victim):
            changes.add("process", f"{service} on {role}", "goes on")
        return changes

    return Failure(
        f"{service} {what}",
        (process_signals.task_of(victim),),
        lambda: process_signals.send(victim, signal_name),
        restore,
    )


def switch_on(here: DrillCluster, role: str) -> Changes:
    """
    Start an instance, and give it back the groups that it had.
    """
    changes = power.start(here.ec2, here.cluster, role)
    changes.extend(power.let_in(here.ec2, here.cluster))
    return changes


def reach(here: DrillCluster, role: str) -> None:
    """
    Open the connection to what was restored, and wait until the Swarm has it.
    """
    here.reopen(role)
    wait_for_nodes(here.manager, here.engines, timeout_s=120)


def tasks_on(here: DrillCluster, role: str, services: list[str]) -> list[str]:
    """
    The ids of the tasks of these services that should run on a node.
    """
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
