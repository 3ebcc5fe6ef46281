"""
How the managers can fail: the one that holds the work, the other one, and what stands by for it.
"""

from collections.abc import Callable

from runbook_lib.availability.drills.failures import Failure, reach, switch_on, tasks_on
from runbook_lib.availability.drills.ground import DrillCluster
from runbook_lib.availability.standby.failover import fail_back, fail_over
from runbook_lib.cloud import power
from runbook_lib.cloud.roles import BACKUP, MANAGER, WEB
from runbook_lib.core.changes import Changes
from runbook_lib.swarm.managers import ensure_leader
from runbook_lib.swarm.membership import get_manager
from runbook_lib.swarm.raft_log import forget_past
from runbook_lib.swarm.recovery import ensure_rejoined, force_new_cluster, has_majority

_OUTAGE_S = 20.0
"""Long enough to see that nobody acts."""


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
        changes.extend(power.start(here.ec2, here.cluster, WEB))
        here.reopen(WEB)
        changes.extend(ensure_rejoined(here.engines, here.nodes, WEB))
        return changes

    def break_it() -> None:
        power.stop(here.ec2, here.cluster, WEB)
        here.connections[WEB].close()

    return Failure(
        f"{WEB} stopped",
        tuple(tasks_on(here, WEB, [f"{here.stacks.web}_map"])),
        break_it,
        restore,
        node=WEB,
        heals=False,
        outage_s=_OUTAGE_S,
    )


def _manager_gone(here: DrillCluster) -> Failure:
    """
    The manager's instance stopped, and started again: the plain architecture has no other way.
    """

    def put_back() -> Changes:
        get_manager(here.engines)  # once it is led, the stack can be put back
        return Changes()

    return _manager_stopped(here, lambda: None, put_back, heals=False, outage_s=_OUTAGE_S)


def _manager_replaced(here: DrillCluster) -> Failure:
    """
    The manager's instance stopped, and its services moved to the one that stands by.

    It leads when it goes: that is the harder case. Who led before it has just become a manager
    anew then, and must know as much as the others when the lead is to be handed over.
    """
    forget_past(here.manager)
    ensure_leader(here.engines, here.nodes, MANAGER)

    def move() -> None:
        here.master = BACKUP
        fail_over(here.pair)

    def move_back() -> Changes:
        changes = fail_back(here.pair)
        here.master = MANAGER
        return changes

    return _manager_stopped(here, move, move_back, heals=True)


def _manager_stopped(
    here: DrillCluster,
    act: Callable[[], None],
    put_back: Callable[[], Changes],
    *,
    heals: bool,
    outage_s: float = 0.0,
) -> Failure:
    """
    The manager's instance stopped, and all that runs on it.

    Parameters
    ----------
    act
        What the operator does once it is gone.
    put_back
        What the operator does once it is there again.
    """
    names = {str(s.name) for s in here.manager.services.list()}

    def break_it() -> None:
        power.stop(here.ec2, here.cluster, MANAGER)
        here.connections[MANAGER].close()
        act()

    def restore() -> Changes:
        changes = switch_on(here, MANAGER)
        here.reopen(MANAGER)
        changes.extend(put_back())
        return changes

    return Failure(
        f"{MANAGER} stopped",
        tuple(tasks_on(here, MANAGER, sorted(names))),
        break_it,
        restore,
        lambda: reach(here, MANAGER),
        node=MANAGER,
        heals=heals,
        outage_s=outage_s,
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
