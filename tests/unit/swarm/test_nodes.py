"""
A node that was written since it was read is read again; another refusal is not swallowed.
"""

import pytest
from docker.errors import APIError

from runbook_lib.swarm.nodes import change_spec, hostname, is_half_joined, labels
from tests.fakes.docker import Engine, Node, in_turn


@pytest.fixture
def engine():
    return Engine(nodes=[Node("n", Role="worker")])


def test_a_change_is_one_request(engine):
    change_spec(engine.nodes.get("n"), {"Role": "manager"})
    assert [("n", {"Role": "manager"})] == engine.node_updates


def test_what_the_swarm_wrote_meanwhile_is_kept(engine):
    node = engine.nodes.get("n")
    node.change_meanwhile(Labels={"a": "b"})
    change_spec(node, {"Role": "manager"})
    assert [("n", {"Role": "manager", "Labels": {"a": "b"}})] == engine.node_updates


def test_another_refusal_is_not_swallowed(engine):
    node = engine.nodes.get("n")
    node.update = in_turn(APIError("500", explanation="denied"))
    with pytest.raises(APIError):
        change_spec(node, {"Role": "manager"})


NAMED = {"ID": "n1", "Spec": {"Labels": {"a": "b"}}, "Description": {"Hostname": "worker-1"}}
HALF = {"ID": "n2", "Spec": {"Labels": None}, "Description": {"Platform": {}, "Engine": {}}}


@pytest.mark.parametrize(
    ("node", "name", "half", "its"),
    [(NAMED, "worker-1", False, {"a": "b"}), (HALF, "n2", True, {})],
    ids=["reported", "half joined"],
)
def test_a_node_that_has_not_reported_goes_by_its_id(node, name, half, its):
    assert (name, half, its) == (hostname(node), is_half_joined(node), labels(node))
    assert "n2" == hostname({"ID": "n2"})
