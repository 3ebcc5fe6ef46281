"""
Moving the manager's services, against a Swarm of two nodes in memory; the real one is in tests/lab.
"""

from types import SimpleNamespace

import pytest

from runbook_lib.availability.standby import failover, tiles_backup
from runbook_lib.availability.standby.failover import (
    Stacks,
    ensure_returned,
    fail_back,
    fail_over,
)
from runbook_lib.availability.standby.pair import (
    ensure_standby,
    find_master,
    move_master,
    readiness,
    remove_stack_volumes,
    wait_for_pinned,
)
from runbook_lib.core.errors import ConflictError, NotFoundError, WaitTimeoutError
from tests.fakes.docker import Container, Engine, Model, Node, Service, Volume, task
from tests.fakes.ec2 import instance

MANAGER = instance("manager", "10.0.0.4", "54.0.0.4", instance_id="i-1")
BACKUP = instance("manager-backup", "10.0.0.5", "54.0.0.5", instance_id="i-2")
BOTH = {"manager": MANAGER, "manager-backup": BACKUP}
IMAGE = "10.0.0.4:5001/geo-diff:1@sha256:ab"


def cluster(instances, connections, engines):
    return SimpleNamespace(
        instances=instances,
        connections=connections,
        engines=engines,
        find_engines=lambda: engines,
    )


def node(place, label, availability):
    spec = {"Role": "manager", "Labels": {"typeNode": label}, "Availability": availability}
    made = Node(place.instance_id, addr=place.private_ip, **spec)
    made.attrs["ManagerStatus"]["Leader"] = place == BACKUP
    return made


def service(name, constraint, **container):
    template = {"ContainerSpec": {"Image": IMAGE, **container}}
    template["Placement"] = {"Constraints": [constraint]}
    return Service(name, {"TaskTemplate": template, "Mode": {"Replicated": {}}})


@pytest.fixture
def leader():
    """
    A manager of two nodes, one service that is pinned to the master, and one that is not.
    """

    def tasks(filters):
        placed = engine.nodes.get(filters["node"])
        is_master = placed.attrs["Spec"]["Labels"]["typeNode"] == "master"
        return [task("running")] if is_master else []

    engine = Engine(
        nodes=[node(MANAGER, "master", "active"), node(BACKUP, "master-backup", "drain")],
        services=[
            service(
                "work_dealer",
                "node.labels.typeNode == master",
                Mounts=[{"Type": "volume", "Source": "tiles-data"}],
                Secrets=[{"SecretName": "password"}],
            ),
            service("work_worker", "node.labels.typeNode != master"),
        ],
        secrets=[Model("password")],
        tasks=tasks,
    )
    return engine


def spec_of(leader, place):
    return leader.nodes.get(place.instance_id).attrs["Spec"]


def test_the_master_is_the_one_that_the_label_names(leader):
    assert "manager" == find_master(leader, BOTH)


@pytest.mark.parametrize("labels", [("master", "master"), ("", "")], ids=["two", "none"])
def test_without_exactly_one_master_there_is_none(leader, labels):
    for one, label in zip(leader.nodes, labels, strict=True):
        one.attrs["Spec"]["Labels"]["typeNode"] = label

    assert "" == find_master(leader, BOTH)


def test_the_old_master_goes_before_the_new_one_comes_and_once_only(leader):
    """Killed in between, there is no master for a moment, and never two."""
    first = move_master(leader, MANAGER, BACKUP)
    second = move_master(leader, MANAGER, BACKUP)

    assert [("i-1", "master-backup", "drain"), ("i-2", "master", "active")] == [
        (node_id, spec["Labels"]["typeNode"], spec["Availability"])
        for node_id, spec in leader.node_updates
    ]
    assert 2 == len(first)
    assert [] == second
    assert ["work_dealer"] == wait_for_pinned(leader, BACKUP, timeout_s=1)


def test_a_service_that_does_not_arrive_is_named_with_the_reason_of_its_task(leader):
    template = leader.services.get("work_dealer").attrs["Spec"]["TaskTemplate"]
    waiting = task("pending", error="no suitable node (port in use on 1 node)", Spec=template)
    leader.api.tasks = lambda filters: [waiting]

    with pytest.raises(WaitTimeoutError, match=r"work_dealer 0/1 \(pending: no node"):
        wait_for_pinned(leader, BACKUP, timeout_s=0.1)


def test_the_master_is_not_made_to_stand_by(leader):
    with pytest.raises(ConflictError, match="expected manager to stand by"):
        ensure_standby(leader, MANAGER)


def test_the_standby_is_drained_once(leader):
    spec_of(leader, BACKUP)["Availability"] = "active"

    assert 1 == len(ensure_standby(leader, BACKUP))
    assert [] == ensure_standby(leader, BACKUP)


def test_a_service_is_ready_where_its_image_volumes_and_secrets_are(leader):
    """The worker is not asked for: it does not run on the master."""
    there = readiness(leader, Engine(volumes=[Volume("tiles-data")], images=[Model(IMAGE)]))
    lacking = readiness(leader, Engine())

    assert [("work_dealer", True)] == list(zip(there["service"], there["ready"], strict=True))
    assert [("10.0.0.4:5001/geo-diff:1", "tiles-data", "there", False)] == list(
        lacking[["image", "volumes", "secrets", "ready"]].itertuples(index=False, name=None)
    )


def test_the_queue_of_then_is_forgotten_and_the_tiles_are_not():
    queue = "work_rabbitmq-data"
    engine = Engine(
        volumes=[Volume(queue), Volume("tiles-data")],
        containers=[Container("of rabbitmq", status="exited", volumes=[queue])],
    )

    assert 1 == len(remove_stack_volumes(engine, ["work", "registry"]))
    assert ["tiles-data"] == [volume.name for volume in engine.volumes]


def test_nothing_moves_back_while_the_manager_is_down(leader):
    stopped = {**BOTH, "manager": instance("manager", state="stopped", instance_id="i-1")}
    pair = cluster(stopped, {}, {"manager-backup": leader})

    with pytest.raises(NotFoundError, match=r"(?s)expected the manager to run; it is stopped.*01_"):
        fail_back(pair, Stacks())
    assert [] == leader.node_updates


def test_without_a_backup_in_the_swarm_there_is_nothing_to_return():
    assert [] == ensure_returned(cluster(BOTH, {}, {}), Stacks())


def test_what_a_failback_left_that_was_killed_is_ended(leader, monkeypatch):
    """The manager has its label again; manager-backup is not drained, and copies nothing."""
    started = iter([True, False])
    monkeypatch.setattr(tiles_backup, "start_timer", lambda _connection: next(started))
    spec_of(leader, BACKUP)["Availability"] = "active"
    pair = cluster(BOTH, {"manager-backup": None}, {"manager-backup": leader})

    assert ["node", "backup"] == [change.what for change in ensure_returned(pair, Stacks())]
    assert [] == ensure_returned(pair, Stacks())


def test_a_swarm_that_still_leads_through_the_manager_is_not_failed_over(leader, monkeypatch):
    """The manager leads and answers: nothing is touched."""
    monkeypatch.setattr(failover, "LEADER_TIMEOUT_S", 0.1)
    for one in leader.nodes:
        one.attrs["ManagerStatus"]["Leader"] = one.id == MANAGER.instance_id
    pair = cluster(BOTH, {}, {"manager-backup": leader})

    with pytest.raises(TimeoutError, match="manager still counts as the leader"):
        fail_over(pair, Stacks())
    assert [] == leader.node_updates
