"""
One manager more, one less: joined or promoted, demoted before it leaves, refused where it counts.
"""

import pytest

from runbook_lib.core.errors import ConflictError
from runbook_lib.swarm.managers import (
    count_managers,
    ensure_leader,
    ensure_manager,
    find_leader,
    remove_manager,
)
from runbook_lib.swarm.quorum import Quorum
from tests.fakes.ec2 import instance
from tests.fakes.swarm import Swarm

ROLES = ["manager", "admin-web", "manager-backup"]
NODES = {role: instance(role, f"10.0.0.{n}") for n, role in enumerate(ROLES, start=4)}


def swarm_of(**kinds):
    """One with members of these kinds, of the three that could be managers."""
    return Swarm({role: node.private_ip for role, node in NODES.items()}, **kinds)


def actions(changes):
    return [change.action for change in changes]


def test_it_joins_with_the_managers_token_and_the_second_time_nothing_changes():
    swarm = swarm_of(manager="manager")

    assert ["joined as a manager"] == actions(ensure_manager(swarm.engines, NODES, "admin-web"))
    assert [] == ensure_manager(swarm.engines, NODES, "admin-web")
    assert ["10.0.0.5 joins 10.0.0.4:2377 for managers"] == swarm.history
    assert Quorum(2) == count_managers(swarm.engines["manager"])


def test_a_worker_is_promoted_and_does_not_join_again():
    swarm = swarm_of(manager="manager", admin_web="worker")

    assert ["promoted to manager"] == actions(ensure_manager(swarm.engines, NODES, "admin-web"))
    assert ["admin-web is to be a manager"] == swarm.history


def test_an_engine_of_another_swarm_is_refused_before_anything_is_done():
    swarm, other = swarm_of(manager="manager"), swarm_of(admin_web="manager")
    clients = swarm.engines | {"admin-web": other.engines["admin-web"]}

    with pytest.raises(ConflictError, match="not in the one of this manager"):
        ensure_manager(clients, NODES, "admin-web")
    assert [] == swarm.history + other.history


def test_it_is_demoted_before_it_leaves_and_then_forgotten():
    swarm = swarm_of(manager="manager", admin_web="manager")

    first = remove_manager(swarm.engines, NODES, "admin-web")
    assert ["demoted to worker", "left the Swarm", "removed"] == actions(first)
    order = ["admin-web is to be a worker", "admin-web leaves", "admin-web is removed"]
    assert order == swarm.history
    assert [] == remove_manager(swarm.engines, NODES, "admin-web")


def test_one_of_the_two_that_answer_may_not_go_and_is_left_alone():
    swarm = swarm_of(manager="manager", admin_web="manager", manager_backup="manager")
    swarm.silence("manager-backup")

    with pytest.raises(ConflictError, match="of 2 then 1 would answer, and 2 must agree"):
        remove_manager(swarm.engines, NODES, "admin-web")
    assert [] == swarm.history


def test_the_one_that_does_not_answer_may_go():
    """Its engine is away; the others forget it, and count themselves only."""
    swarm = swarm_of(manager="manager", admin_web="manager", manager_backup="manager")
    swarm.silence("manager-backup")
    del swarm.engines["manager-backup"]

    gone = remove_manager(swarm.engines, NODES, "manager-backup")
    assert ["demoted to worker", "removed"] == actions(gone)
    assert Quorum(2) == count_managers(swarm.engines["manager"])


def test_without_a_swarm_there_is_nothing_to_remove():
    assert [] == remove_manager({}, NODES, "admin-web")
    assert [] == remove_manager(swarm_of().engines, NODES, "admin-web")


def test_leaders_hand_over_until_the_wanted_one_leads():
    swarm = swarm_of(manager="manager", admin_web="manager", manager_backup="manager")
    swarm.lead("admin-web", "manager-backup", "manager")

    changes = ensure_leader(swarm.engines, NODES, "manager")
    assert ["admin-web", "manager-backup"] == [change.name for change in changes]
    assert "manager" == find_leader(swarm.engines["manager"], NODES)
    assert Quorum(3) == count_managers(swarm.engines["manager"])
    assert [] == ensure_leader(swarm.engines, NODES, "manager")


def test_the_leader_does_not_hand_over_while_a_manager_is_silent():
    swarm = swarm_of(manager="manager", admin_web="manager", manager_backup="manager")
    swarm.lead("admin-web", "manager")
    swarm.silence("manager-backup")

    with pytest.raises(ConflictError, match="of 2 then 1 would answer"):
        ensure_leader(swarm.engines, NODES, "manager")
    assert [] == swarm.history
