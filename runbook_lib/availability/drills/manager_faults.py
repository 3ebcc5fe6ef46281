"""
The faults of the managers: the one with the services fails, or the other one.
"""

from collections.abc import Callable
from functools import partial

from runbook_lib.availability.drills.faults import (
    Fault,
    find_running_tasks,
    reconnect,
    restore_instance,
    take_down,
)
from runbook_lib.availability.drills.ground import DrillCluster
from runbook_lib.availability.standby.failover import fail_back, fail_over
from runbook_lib.cloud import launch
from runbook_lib.cloud.roles import BACKUP, MANAGER, WEB
from runbook_lib.swarm.managers import ensure_leader
from runbook_lib.swarm.membership import get_manager
from runbook_lib.swarm.recovery import (
    compact_raft_log,
    ensure_rejoined,
    force_new_cluster,
    has_majority,
)

_OUTAGE_S = 20.0
"""Long enough to see that nothing recovers by itself."""


def manager_faults(here: DrillCluster) -> dict[str, Callable[[], Fault]]:
    """
    The faults of the managers that exist: two as in the guide, or three with `manager-backup`.
    """
    if BACKUP in here.solutions:
        return {"the manager, replaced": partial(_manager_replaced, here)}
    return {
        "the other manager": partial(_majority_lost, here),
        "the manager": partial(_manager_lost, here),
    }


def _majority_lost(here: DrillCluster) -> Fault:
    """
    `admin-web` is stopped: one of two managers, so that the other one loses its majority.

    Recovery is --force-new-cluster on the manager; admin-web then joins as a new node.
    """

    def restore() -> None:
        if not has_majority(here.manager):
            force_new_cluster(here.manager, here.instances[MANAGER])
        launch.start(here.ec2, here.name, WEB)
        here.reopen(WEB)
        ensure_rejoined(here.engines, here.instances, WEB)

    return Fault(
        f"{WEB} stopped",
        find_running_tasks(here, WEB, [f"{here.stacks.web}_map"]),
        partial(take_down, here, WEB),
        restore,
        node=WEB,
        recovers=False,
        outage_s=_OUTAGE_S,
    )


def _manager_lost(here: DrillCluster) -> Fault:
    """
    The manager's instance is stopped, and later started: the guide's architecture has no other way.
    """
    wait_for_leader = partial(get_manager, here.engines)  # then the stack can be restored
    return _manager_stopped(here, lambda: None, wait_for_leader, recovers=False)


def _manager_replaced(here: DrillCluster) -> Fault:
    """
    The manager's instance is stopped, and its services move to `manager-backup`.

    It leads when it stops, which is the harder case. The previous leader must know the whole log
    when the lead is transferred, and it may have just joined again as a manager.
    """
    compact_raft_log(here.manager)
    ensure_leader(here.engines, here.instances, MANAGER)

    def move() -> None:
        here.master = BACKUP
        fail_over(here, here.stacks)

    def move_back() -> None:
        fail_back(here, here.stacks)
        here.master = MANAGER

    return _manager_stopped(here, move, move_back, recovers=True)


def _manager_stopped(
    here: DrillCluster,
    replace: Callable[[], object],
    take_back: Callable[[], object],
    *,
    recovers: bool,
) -> Fault:
    """
    The manager's instance is stopped, with everything on it.

    The operator's part: `replace` after it has stopped, `take_back` after it has started.
    """
    names = {str(s.name) for s in here.manager.services.list()}

    def inject() -> None:
        take_down(here, MANAGER)
        replace()

    def restore() -> None:
        restore_instance(here, MANAGER)
        here.reopen(MANAGER)
        take_back()

    return Fault(
        f"{MANAGER} stopped",
        find_running_tasks(here, MANAGER, names),
        inject,
        restore,
        partial(reconnect, here, MANAGER),
        node=MANAGER,
        recovers=recovers,
        outage_s=0.0 if recovers else _OUTAGE_S,
    )
