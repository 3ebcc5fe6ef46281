"""
One manager more, one less: joined or promoted, demoted before it leaves, refused where it counts.
"""

from types import SimpleNamespace

import pytest

from runbook_lib.cloud.instances import Instance
from runbook_lib.core.errors import ConflictError
from runbook_lib.swarm.managers import (
    count_managers,
    ensure_leader,
    ensure_manager,
    find_leader,
    remove_manager,
)
from runbook_lib.swarm.quorum import Quorum

ROLES = ["manager", "admin-web", "manager-backup"]
NODES = {
    role: Instance(role, f"i-{role}", "running", "t2.micro", f"10.0.0.{n}", "", ())
    for n, role in enumerate(ROLES, start=4)
}


class Swarm:
    """
    A Swarm that agrees at once; `members` are its nodes, `said` what was done to it.
    """

    def __init__(self, **roles):
        self.members = {}
        self.said = []
        self.heirs = []
        for role, kind in roles.items():
            self.add(role.replace("_", "-"), kind)
        self.engines = {role: Engine(self, role) for role in ROLES}

    def add(self, role, kind):
        self.members[role] = Node(self, role, kind)

    def lead(self, *roles):
        """
        The first manager of these leads, and whoever follows when it does not any more.
        """
        heirs = [r for r in roles if self.members[r].attrs["Spec"]["Role"] == "manager"]
        for role, node in self.members.items():
            if node.attrs["ManagerStatus"]:
                node.attrs["ManagerStatus"]["Leader"] = role == heirs[0]
        self.heirs = heirs[1:]

    def silence(self, role):
        self.members[role].attrs["ManagerStatus"]["Reachability"] = "unreachable"
        self.members[role].attrs["Status"]["State"] = "down"


class Node:
    """
    The part of a Node of the SDK that is used.
    """

    def __init__(self, swarm, role, kind):
        self.swarm, self.role, self.id = swarm, role, f"id-{role}"
        address = NODES[role].private_ip
        self.attrs = {"Status": {"State": "ready", "Addr": address}, "Spec": {}}
        self._become(kind)

    def _become(self, kind):
        self.attrs["Spec"]["Role"] = kind
        self.attrs["ManagerStatus"] = {"Reachability": "reachable"} if kind == "manager" else {}

    def update(self, spec):
        self.swarm.said.append(f"{self.role} is to be a {spec['Role']}")
        led = self.attrs["ManagerStatus"].get("Leader")
        self._become(spec["Role"])
        if led:
            self.swarm.lead(*self.swarm.heirs)

    def remove(self):
        self.swarm.said.append(f"{self.role} is forgotten")
        del self.swarm.members[self.role]


class Engine:
    """
    The part of a DockerClient that is used.
    """

    def __init__(self, swarm, role):
        self._swarm, self._role = swarm, role
        self.nodes = SimpleNamespace(list=self._list, get=self._get)
        self.swarm = SimpleNamespace(
            reload=lambda: None,
            attrs={"JoinTokens": {"Manager": "for managers", "Worker": "for workers"}},
            join=self._join,
            leave=self._leave,
        )

    def info(self):
        node = self._swarm.members.get(self._role)
        if node is None:
            return {"Swarm": {"LocalNodeState": "inactive"}}
        control = node.attrs["Spec"]["Role"] == "manager"
        known = {"LocalNodeState": "active", "NodeID": node.id, "ControlAvailable": control}
        return {"Swarm": known}

    def _list(self, filters=None):
        kind = (filters or {}).get("role")
        nodes = self._swarm.members.values()
        return [n for n in nodes if kind in (None, n.attrs["Spec"]["Role"])]

    def _get(self, node_id):
        return next(n for n in self._swarm.members.values() if n.id == node_id)

    def _join(self, remote_addrs, join_token, advertise_addr):
        self._swarm.said.append(f"{advertise_addr} joins {remote_addrs[0]} {join_token}")
        self._swarm.add(self._role, "manager")

    def _leave(self):
        self._swarm.said.append(f"{self._role} leaves")
        self._swarm.members[self._role].attrs["Status"]["State"] = "down"


def actions(changes):
    return [change.action for change in changes]


def test_it_joins_with_the_managers_token_and_the_second_time_nothing_changes():
    swarm = Swarm(manager="manager")

    assert ["joined as a manager"] == actions(ensure_manager(swarm.engines, NODES, "admin-web"))
    assert [] == ensure_manager(swarm.engines, NODES, "admin-web")
    assert ["10.0.0.5 joins 10.0.0.4:2377 for managers"] == swarm.said
    assert Quorum(2) == count_managers(swarm.engines["manager"])


def test_a_worker_is_promoted_and_does_not_join_again():
    swarm = Swarm(manager="manager", admin_web="worker")

    assert ["promoted to manager"] == actions(ensure_manager(swarm.engines, NODES, "admin-web"))
    assert ["admin-web is to be a manager"] == swarm.said


def test_an_engine_of_another_swarm_is_refused_before_anything_is_done():
    swarm, other = Swarm(manager="manager"), Swarm(admin_web="manager")
    clients = swarm.engines | {"admin-web": other.engines["admin-web"]}

    with pytest.raises(ConflictError, match="not in the one of this manager"):
        ensure_manager(clients, NODES, "admin-web")
    assert [] == swarm.said + other.said


def test_it_is_demoted_before_it_leaves_and_then_forgotten():
    swarm = Swarm(manager="manager", admin_web="manager")

    first = remove_manager(swarm.engines, NODES, "admin-web")
    assert ["demoted to worker", "left the Swarm", "forgotten"] == actions(first)
    order = ["admin-web is to be a worker", "admin-web leaves", "admin-web is forgotten"]
    assert order == swarm.said
    assert [] == remove_manager(swarm.engines, NODES, "admin-web")


def test_one_of_the_two_that_answer_may_not_go_and_is_left_alone():
    swarm = Swarm(manager="manager", admin_web="manager", manager_backup="manager")
    swarm.silence("manager-backup")

    with pytest.raises(ConflictError, match="of 2 then 1 would answer, and 2 must agree"):
        remove_manager(swarm.engines, NODES, "admin-web")
    assert [] == swarm.said


def test_the_one_that_does_not_answer_may_go():
    """Its engine is away; the others forget it, and count themselves only."""
    swarm = Swarm(manager="manager", admin_web="manager", manager_backup="manager")
    swarm.silence("manager-backup")
    del swarm.engines["manager-backup"]

    gone = remove_manager(swarm.engines, NODES, "manager-backup")
    assert ["demoted to worker", "forgotten"] == actions(gone)
    assert Quorum(2) == count_managers(swarm.engines["manager"])


def test_without_a_swarm_there_is_nothing_to_remove():
    assert [] == remove_manager({}, NODES, "admin-web")
    assert [] == remove_manager(Swarm().engines, NODES, "admin-web")


def test_who_leads_hands_over_until_it_is_the_one_that_is_to_lead():
    swarm = Swarm(manager="manager", admin_web="manager", manager_backup="manager")
    swarm.lead("admin-web", "manager-backup", "manager")

    changes = ensure_leader(swarm.engines, NODES, "manager")
    assert ["admin-web", "manager-backup"] == [change.name for change in changes]
    assert "manager" == find_leader(swarm.engines["manager"], NODES)
    assert Quorum(3) == count_managers(swarm.engines["manager"])
    assert [] == ensure_leader(swarm.engines, NODES, "manager")


def test_nobody_hands_over_where_another_manager_does_not_answer():
    swarm = Swarm(manager="manager", admin_web="manager", manager_backup="manager")
    swarm.lead("admin-web", "manager")
    swarm.silence("manager-backup")

    with pytest.raises(ConflictError, match="of 2 then 1 would answer"):
        ensure_leader(swarm.engines, NODES, "manager")
    assert [] == swarm.said
