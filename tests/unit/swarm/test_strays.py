"""
A join that was cut short: every page still names its node, and the next run removes it.
"""

import pytest
from docker.errors import APIError

from runbook_lib.core.errors import CommandError, WaitTimeoutError
from runbook_lib.geodiff.broker_cluster import remove_broker_labels
from runbook_lib.swarm import membership, strays
from runbook_lib.swarm.membership import (
    ensure_label,
    ensure_swarm,
    node_table,
    wait_for_nodes,
)
from runbook_lib.swarm.strays import remove_strays
from tests.fakes.docker import Engine, Node, in_turn
from tests.fakes.ec2 import instance
from tests.fakes.swarm import Swarm

INSTANCES = {
    "manager": instance("manager", "10.0.0.4"),
    "worker-1": instance("worker-1", "10.0.0.5"),
}


def node(name, *, half=False, state="ready", **spec):
    """As the Engine API describes it; one that has not reported has an empty description."""
    made = Node(name, state="unknown" if half else state, **{"Role": "worker", **spec})
    made.attrs["Description"] = {"Platform": {}, "Resources": {}, "Engine": {}}
    if not half:
        made.attrs["Description"] |= {"Hostname": f"host-{name}", "Engine": {"EngineVersion": "26"}}
    made.attrs["Spec"] = {"Labels": {"broker": "2"}, "Availability": "active", **made.attrs["Spec"]}
    return made


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """A join of another run is not waited for."""
    monkeypatch.setattr(strays, "_JOIN_S", 0)
    monkeypatch.setattr(membership, "_PENDING_S", 0)


def test_the_table_of_nodes_names_a_half_joined_one_by_its_id():
    table = node_table(Engine(nodes=[node("n1"), node("n2", half=True)]), INSTANCES)

    assert ["host-n1", "n2"] == list(table["hostname"])
    assert ["ready", "half joined"] == list(table["state"])
    assert ["26", ""] == list(table["engine"])


def test_labels_are_set_on_and_taken_from_a_half_joined_node():
    manager = Engine(nodes=[node("n2", half=True)])

    assert ["n2"] == [c.name for c in ensure_label(manager, "n2", "typeNode", "master")]
    assert ["n2"] == [c.name for c in remove_broker_labels(manager)]


def test_what_never_reported_and_what_is_down_is_removed_and_named():
    manager = Engine(
        nodes=[
            node("ours"),
            node("late", half=True),
            node("half", half=True),
            node("half-manager", half=True, Role="manager"),
            node("gone", state="down"),
        ]
    )

    removed = remove_strays(manager, ["ours", "late"])

    assert ["half", "half-manager", "host-gone"] == [c.name for c in removed]
    assert ["ours", "late"] == [n.id for n in manager.nodes.list()]
    assert [] == remove_strays(manager, ["ours", "late"])


def test_a_node_whose_engine_joined_again_is_removed_while_it_still_counts_as_ready():
    """The engine at its address has another id now; one at another address is not ours to judge."""
    manager = Engine(
        nodes=[
            node("ours", addr="10.0.0.5"),
            node("first", addr="10.0.0.5"),
            node("x", addr="10.0.0.9"),
        ]
    )

    assert ["host-first"] == [c.name for c in remove_strays(manager, ["ours"], ["10.0.0.5"])]
    assert ["ours", "x"] == [n.id for n in manager.nodes.list()]


def test_a_half_joined_manager_is_removed_once_it_has_left_the_raft():
    stray = node("half", half=True, Role="manager")
    manager = Engine(nodes=[stray])
    refusal = APIError("400", explanation="node half is a cluster manager, and must be demoted")
    remove, refusals = stray.remove, [refusal]

    def once_refused(force):
        if refusals:
            raise refusals.pop()
        remove()

    stray.remove = once_refused

    assert ["half"] == [c.name for c in remove_strays(manager, [])]
    assert [] == manager.nodes.list()


def test_a_join_that_goes_on_by_itself_is_waited_for(monkeypatch):
    """The run that began it was killed; the engine was pending, and is a member now."""
    swarm = Swarm(
        {r: i.private_ip for r, i in INSTANCES.items()}, manager="manager", worker_1="worker"
    )
    joined = swarm.engines["worker-1"].info()
    swarm.engines["worker-1"].info = in_turn({"Swarm": {"LocalNodeState": "pending"}}, joined)
    monkeypatch.setattr(membership, "_PENDING_S", 30)

    assert [] == ensure_swarm(swarm.engines, INSTANCES)


def test_a_join_that_never_ends_is_named():
    swarm = Swarm({r: i.private_ip for r, i in INSTANCES.items()}, manager="manager")
    swarm.engines["worker-1"].info = in_turn({"Swarm": {"LocalNodeState": "pending"}})

    with pytest.raises(CommandError, match=r"worker-1 .* saw state 'pending'"):
        ensure_swarm(swarm.engines, INSTANCES)


def test_a_node_that_does_not_become_ready_is_named():
    swarm = Swarm(
        {r: i.private_ip for r, i in INSTANCES.items()}, manager="manager", worker_1="worker"
    )
    swarm.silence("worker-1")

    with pytest.raises(WaitTimeoutError, match="Last seen: worker-1 is down"):
        wait_for_nodes(swarm.engines["manager"], swarm.engines, timeout_s=0)
