"""
Rules are applied where they changed, and only there.
"""

import threading
from dataclasses import dataclass

import pytest

from lab.core.config import LabConfig
from lab.core.errors import LabError
from lab.machines.enforcer import Enforcer
from lab.machines.firewall import NetworkInterface


@dataclass
class Instance:
    id: str
    address: str
    public: str = ""
    reachable: bool = True

    def network_interface(self) -> NetworkInterface:
        return NetworkInterface(self.address, public_address=self.public)


class Machines:
    def __init__(self):
        self.applied = []
        self.broken = set()

    def apply(self, instance_id, script):
        if instance_id in self.broken:
            raise LabError("no")
        self.applied.append(instance_id)


@pytest.fixture
def instances():
    return [Instance("i-1", "172.31.0.4"), Instance("i-2", "172.31.0.5")]


@pytest.fixture
def machines():
    return Machines()


@pytest.fixture
def enforcer(instances, machines):
    made = Enforcer(LabConfig(), machines, lambda: instances, threading.RLock())
    yield made
    made.close()


def test_only_what_changed_is_applied(instances, machines, enforcer):
    """Both at first, nothing when nothing changed, then the one that did."""
    enforcer.sync()
    assert sorted(machines.applied) == ["i-1", "i-2"]
    enforcer.sync()
    instances[1].public = "172.31.128.1"
    enforcer.sync()
    assert machines.applied[2:] == ["i-2"]


def test_an_instance_started_with_its_rules_needs_no_others(instances, machines, enforcer):
    """They were in force before anything listened."""
    enforcer.started("i-1", enforcer.script(instances[0]))
    enforcer.sync()
    assert machines.applied == ["i-2"]


def test_an_instance_that_boots_is_left_alone(instances, machines, enforcer):
    """Its entry point is at work on the same file."""
    instances[0].reachable = False
    enforcer.sync()
    assert machines.applied == ["i-2"]


def test_a_failure_is_retried_next_time_and_affects_no_other_instance(machines, enforcer, caplog):
    """And it is logged."""
    machines.broken = {"i-1"}
    enforcer.sync()
    assert machines.applied == ["i-2"]
    assert "rules of i-1" in caplog.text
    machines.broken = set()
    enforcer.sync()
    assert machines.applied == ["i-2", "i-1"]
