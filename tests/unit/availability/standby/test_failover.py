"""
Moving the manager's services, against a Swarm of two nodes in memory; the real one is in tests/lab.
"""

from types import SimpleNamespace

import pytest

from runbook_lib.availability.standby import failover, tiles_backup
from runbook_lib.availability.standby.failover import (
    Pair,
    Stacks,
    ensure_returned,
    fail_back,
    fail_over,
)
from runbook_lib.availability.standby.master import (
    ensure_standby,
    find_master,
    hand_over,
    wait_for_pinned,
)
from runbook_lib.availability.standby.readiness import forget_volumes, readiness
from runbook_lib.cloud.instances import Instance
from runbook_lib.core.errors import ConflictError, NotFoundError

MANAGER = Instance("manager", "i-1", "running", "t2.micro", "10.0.0.4", "54.0.0.4", ())
BACKUP = Instance("manager-backup", "i-2", "running", "t2.micro", "10.0.0.5", "54.0.0.5", ())
BOTH = {"manager": MANAGER, "manager-backup": BACKUP}


class Node:
    def __init__(self, instance, label, availability):
        self.id = instance.instance_id
        self.history = []
        self.attrs = {
            "Spec": {
                "Role": "manager",
                "Labels": {"typeNode": label},
                "Availability": availability,
            },
            "Status": {"State": "ready", "Addr": instance.private_ip},
            "ManagerStatus": {"Reachability": "reachable", "Leader": instance == BACKUP},
        }

    def update(self, spec):
        self.attrs["Spec"] = spec
        self.history.append((self.id, spec["Labels"]["typeNode"], spec["Availability"]))


def service(name, constraint, **container):
    spec = {"ContainerSpec": {"Image": "10.0.0.4:5001/geo-diff:1@sha256:ab", **container}}
    spec["Placement"] = {"Constraints": [constraint]}
    return SimpleNamespace(
        id=name, name=name, attrs={"Spec": {"TaskTemplate": spec, "Mode": {"Replicated": {}}}}
    )


class Swarm:
    """
    A manager's view: two nodes, one service that is pinned to the master, one that is not.
    """

    def __init__(self):
        self.own = [Node(MANAGER, "master", "active"), Node(BACKUP, "master-backup", "drain")]
        self.services_ = [
            service(
                "work_dealer",
                "node.labels.typeNode == master",
                Mounts=[{"Type": "volume", "Source": "tiles-data"}],
                Secrets=[{"SecretName": "password"}],
            ),
            service("work_worker", "node.labels.typeNode != master"),
        ]
        self.nodes = SimpleNamespace(list=lambda **_: self.own)
        self.services = SimpleNamespace(list=lambda **_: self.services_)
        self.secrets = SimpleNamespace(list=lambda: [SimpleNamespace(name="password")])
        self.api = SimpleNamespace(tasks=self.tasks)
        self.info = lambda: {"Swarm": {"ControlAvailable": True}}

    def tasks(self, filters):
        running = {"DesiredState": "running", "Status": {"State": "running"}}
        there = [n.id for n in self.own if n.attrs["Spec"]["Labels"]["typeNode"] == "master"]
        return [running] if filters["node"] in there else []


@pytest.fixture
def leader():
    return Swarm()


def test_the_master_is_the_one_that_the_label_names(leader):
    assert "manager" == find_master(leader, BOTH)


@pytest.mark.parametrize("labels", [("master", "master"), ("", "")], ids=["two", "none"])
def test_without_exactly_one_master_there_is_none(leader, labels):
    for node, label in zip(leader.own, labels, strict=True):
        node.attrs["Spec"]["Labels"]["typeNode"] = label

    assert "" == find_master(leader, BOTH)


def test_the_old_master_goes_before_the_new_one_comes_and_once_only(leader):
    """Killed in between, there is no master for a moment, and never two."""
    seen = []
    for node in leader.own:
        node.history = seen
    first = hand_over(leader, MANAGER, BACKUP)
    second = hand_over(leader, MANAGER, BACKUP)

    assert [("i-1", "master-backup", "drain"), ("i-2", "master", "active")] == seen
    assert 2 == len(first)
    assert [] == second
    assert ["work_dealer"] == wait_for_pinned(leader, BACKUP, timeout_s=1)


def test_the_master_is_not_made_to_stand_by(leader):
    with pytest.raises(ConflictError, match="expected manager to stand by"):
        ensure_standby(leader, MANAGER)


def test_who_stands_by_is_drained_once(leader):
    leader.own[1].attrs["Spec"]["Availability"] = "active"

    assert 1 == len(ensure_standby(leader, BACKUP))
    assert [] == ensure_standby(leader, BACKUP)


class Engine:
    """
    An engine with some volumes and images, and a container that has ended.
    """

    def __init__(self, volumes, *, images=True):
        self.names = list(volumes)
        self.ended = ["of rabbitmq"]
        self.images = SimpleNamespace(get=lambda name: name if images else self._absent())
        self.volumes = SimpleNamespace(list=self._volumes)
        self.api = SimpleNamespace(
            containers=lambda **_: [{"Id": one} for one in self.ended],
            remove_container=self.ended.remove,
        )

    def _absent(self):
        from docker.errors import ImageNotFound  # noqa: PLC0415 - only where there is none

        raise ImageNotFound("none")

    def _volumes(self, filters=None):
        name = filters["label"].partition("=")[2] if filters else ""
        return [
            SimpleNamespace(name=one, remove=lambda one=one: self._remove(one))
            for one in self.names
            if one.startswith(name)
        ]

    def _remove(self, name):
        assert not self.ended, "a container that has ended still holds it"
        self.names.remove(name)


def test_a_service_is_ready_where_its_image_volumes_and_secrets_are(leader):
    """The worker is not asked for: it does not run on the master."""
    there = readiness(leader, Engine(["tiles-data"]))
    lacking = readiness(leader, Engine([], images=False))

    assert [("work_dealer", True)] == list(zip(there["service"], there["ready"], strict=True))
    assert [("10.0.0.4:5001/geo-diff:1", "tiles-data", "there", False)] == list(
        lacking[["image", "volumes", "secrets", "ready"]].itertuples(index=False, name=None)
    )


def test_the_queue_of_then_is_forgotten_and_the_tiles_are_not():
    engine = Engine(["work_rabbitmq-data", "tiles-data"])

    assert 1 == len(forget_volumes(engine, ["work", "registry"]))
    assert ["tiles-data"] == engine.names


def test_nothing_moves_back_while_the_manager_is_down(leader):
    stopped = {
        **BOTH,
        "manager": Instance("manager", "i-1", "stopped", "t2.micro", "10.0.0.4", "", ()),
    }
    pair = Pair(stopped, {}, {"manager-backup": leader}, Stacks())

    with pytest.raises(NotFoundError, match=r"(?s)expected the manager to run; it is stopped.*01_"):
        fail_back(pair)
    assert [] == [entry for node in leader.own for entry in node.history]


def test_without_a_backup_in_the_swarm_there_is_nothing_to_return():
    assert [] == ensure_returned(Pair(BOTH, {}, {}, Stacks()))


def test_what_a_failback_left_that_was_killed_is_ended(leader, monkeypatch):
    """The manager has its label again; manager-backup is not drained, and copies nothing."""
    started = iter([True, False])
    monkeypatch.setattr(tiles_backup, "start_timer", lambda _connection: next(started))
    leader.own[1].attrs["Spec"]["Availability"] = "active"
    pair = Pair(BOTH, {"manager-backup": None}, {"manager-backup": leader}, Stacks())

    assert ["node", "backup"] == [change.what for change in ensure_returned(pair)]
    assert [] == ensure_returned(pair)


def test_a_swarm_that_still_leads_through_the_manager_is_not_failed_over(leader, monkeypatch):
    """The manager leads and answers: nothing is touched."""
    monkeypatch.setattr(failover, "LEADER_TIMEOUT_S", 0.1)
    leader.own[0].attrs["ManagerStatus"]["Leader"] = True
    leader.own[1].attrs["ManagerStatus"]["Leader"] = False
    pair = Pair(BOTH, {}, {"manager-backup": leader}, Stacks())

    with pytest.raises(TimeoutError, match="manager still counts as the leader"):
        fail_over(pair)
    assert [] == [entry for node in leader.own for entry in node.history]
