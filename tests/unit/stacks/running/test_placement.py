"""
Which nodes Swarm takes for a task.
"""

import pytest

from runbook_lib.stacks.running.placement import (
    amount,
    find_matching,
    is_open,
    parse,
    read_key,
    why_never,
)

NODE = {
    "ID": "abc",
    "Spec": {"Role": "worker", "Availability": "active", "Labels": {"typeNode": "Master"}},
    "Status": {"State": "ready", "Addr": "172.31.0.14"},
    "Description": {
        "Hostname": "worker-1",
        "Platform": {"OS": "linux", "Architecture": "x86_64"},
        "Resources": {"NanoCPUs": 2_000_000_000, "MemoryBytes": 2**30},
        "Engine": {"Labels": {"disk": "ssd"}},
    },
}


@pytest.mark.parametrize(
    "text",
    [
        "node.id==abc",
        "node.hostname == WORKER-1",
        "node.role != manager",
        "node.platform.os == linux",
        "node.platform.arch == x86_64",
        "node.labels.typeNode == master",
        "NODE.LABELS.typeNode == master",
        "node.labels.none != master",
        "engine.labels.disk == ssd",
        "node.ip == 172.31.0.0/16",
    ],
)
def test_a_node_meets_a_constraint(text):
    assert [NODE] == find_matching([NODE], [text])


@pytest.mark.parametrize(
    "text",
    [
        "node.id != abc",
        "node.labels.typenode == master",
        "node.platform.arch == amd64",
        "engine.labels.disk == hdd",
        "node.ip == 10.0.0.0/8",
        "node.cores == 2",
        "node.cores != 2",
        "node.role = worker",
    ],
)
def test_a_node_does_not_meet_a_constraint(text):
    """Swarm says x86_64, the name of a label has its case, and no node meets an unknown key."""
    assert [] == find_matching([NODE], [text])


@pytest.mark.parametrize("text", ["node.role = worker", "typeNode", "node role == x", "a == é", ""])
def test_what_swarm_refuses_is_no_constraint(text):
    assert parse(text) is None


def test_a_label_that_a_node_lacks_is_empty():
    assert ("Master", "") == (
        read_key(NODE, "node.labels.typeNode"),
        read_key(NODE, "node.labels.none"),
    )


@pytest.mark.parametrize(
    ("state", "availability", "expected"),
    [("ready", "active", True), ("down", "active", False), ("ready", "drain", False)],
)
def test_a_node_is_open_if_it_is_ready_and_active(state, availability, expected):
    assert expected == is_open({"Status": {"State": state}, "Spec": {"Availability": availability}})


def test_a_node_that_has_not_reported_its_size_may_hold_anything():
    template = {"Resources": {"Reservations": {"MemoryBytes": 2**40}}}

    assert "" == why_never(template, [NODE, {"ID": "new"}])
    assert "no node has the 1048576 MiB that it reserves" == why_never(template, [NODE])


def test_an_amount_is_in_words():
    assert "0.5 CPUs and 200 MiB" == amount(5e8, 200 * 2**20)
