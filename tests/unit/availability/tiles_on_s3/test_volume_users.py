"""
Services stopped and started again around a change, with a Swarm in memory.
"""

from types import SimpleNamespace

import pytest

from runbook_lib.availability.tiles_on_s3 import volume_users
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import WaitTimeoutError


class Swarm:
    """Three services, two of which use the volume."""

    def __init__(self, monkeypatch):
        self.specs = {
            "work_updater": self.spec(2, "tiles-data"),
            "work_dealer": self.spec(1, "tiles-data"),
            "work_rabbitmq": self.spec(1, "tiles-data-of-others"),
        }
        self.services = SimpleNamespace(list=self.list)
        self.api = SimpleNamespace(tasks=self.tasks)
        monkeypatch.setattr(volume_users, "run", self.run)
        monkeypatch.setattr(volume_users, "set_spec", self.set_spec)

    @staticmethod
    def spec(replicas, source):
        mounts = [{"Type": "volume", "Source": source}, {"Type": "tmpfs", "Target": "/tmp"}]
        return {
            "Mode": {"Replicated": {"Replicas": replicas}},
            "Labels": {"kept": "yes"},
            "TaskTemplate": {"ContainerSpec": {"Mounts": mounts}},
        }

    def list(self):
        return [SimpleNamespace(name=n, attrs={"Spec": s}) for n, s in self.specs.items()]

    def tasks(self, filters):
        count = self.replicas(filters["service"])
        return [{"DesiredState": "running", "Status": {"State": "running"}}] * count

    def replicas(self, name):
        return self.specs[name]["Mode"]["Replicated"]["Replicas"]

    def set_spec(self, _, name, spec):
        self.specs[name] = spec

    def run(self, _, script, sudo):
        return "c\n" * sum(map(self.replicas, ["work_updater", "work_dealer"]))


@pytest.fixture
def swarm(monkeypatch):
    return Swarm(monkeypatch)


def numbers(swarm):
    return {name: swarm.replicas(name) for name in swarm.specs}


BEFORE = {"work_updater": 2, "work_dealer": 1, "work_rabbitmq": 1}


def test_who_uses_the_volume_stops_and_gets_as_many_tasks_back(swarm):
    changes = Changes()
    with volume_users.paused(None, swarm, "tiles-data", changes):
        assert {"work_updater": 0, "work_dealer": 0, "work_rabbitmq": 1} == numbers(swarm)

    assert BEFORE == numbers(swarm)
    assert ["work_dealer", "work_updater", "tiles-data"] == [c.name for c in changes]
    assert {"kept": "yes"} == swarm.specs["work_updater"]["Labels"]


def test_they_start_again_after_an_interrupt(swarm):
    with (
        pytest.raises(KeyboardInterrupt),
        volume_users.paused(None, swarm, "tiles-data", Changes()),
    ):
        raise KeyboardInterrupt

    assert BEFORE == numbers(swarm)


@pytest.mark.parametrize("end", [KeyboardInterrupt, WaitTimeoutError])
def test_they_start_again_where_the_stop_itself_is_cut_short(swarm, monkeypatch, end):
    """Interrupted while the last container ends, or one that does not end in time."""

    def run(*_, **__):
        raise end("while it waits")

    monkeypatch.setattr(volume_users, "run", run)
    with pytest.raises(end), volume_users.paused(None, swarm, "tiles-data", Changes()):
        pytest.fail("somebody may still use it")

    assert BEFORE == numbers(swarm)


def test_the_number_survives_a_run_that_was_killed(swarm):
    """A second stop must not take the 0 for the number to go back to."""
    volume_users.pause(None, swarm, "tiles-data")
    volume_users.pause(None, swarm, "tiles-data")
    volume_users.resume(swarm, "tiles-data")

    assert BEFORE == numbers(swarm)
    assert [] == volume_users.resume(swarm, "tiles-data")
