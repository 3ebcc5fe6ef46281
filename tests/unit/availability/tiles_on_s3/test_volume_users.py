"""
Services stopped and started again around a change, with a Swarm in memory.
"""

import pytest

from runbook_lib.availability.tiles_on_s3 import volume_users
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import WaitTimeoutError
from tests.fakes.docker import Engine, Service, task


def service(name, replicas, source):
    mounts = [{"Type": "volume", "Source": source}, {"Type": "tmpfs", "Target": "/tmp"}]
    spec = {
        "Mode": {"Replicated": {"Replicas": replicas}},
        "Labels": {"kept": "yes"},
        "TaskTemplate": {"ContainerSpec": {"Mounts": mounts}},
    }
    return Service(name, spec)


def replicas(swarm, name):
    return swarm.services.get(name).attrs["Spec"]["Mode"]["Replicated"]["Replicas"]


@pytest.fixture
def swarm(monkeypatch):
    """Three services, two of which use the volume."""
    engine = Engine(
        services=[
            service("work_updater", 2, "tiles-data"),
            service("work_dealer", 1, "tiles-data"),
            service("work_rabbitmq", 1, "tiles-data-of-others"),
        ],
        tasks=lambda filters: [task("running")] * replicas(engine, filters["service"]),
    )

    def set_spec(_, name, spec):
        engine.services.get(name).attrs["Spec"] = spec

    def run(_, script, sudo):
        return "c\n" * sum(replicas(engine, name) for name in ("work_updater", "work_dealer"))

    monkeypatch.setattr(volume_users, "set_spec", set_spec)
    monkeypatch.setattr(volume_users, "run", run)
    return engine


def numbers(swarm):
    return {service.name: replicas(swarm, service.name) for service in swarm.services}


BEFORE = {"work_updater": 2, "work_dealer": 1, "work_rabbitmq": 1}


def test_users_of_the_volume_stop_and_get_as_many_tasks_back(swarm):
    changes = Changes()
    with volume_users.paused(None, swarm, "tiles-data", changes):
        assert {"work_updater": 0, "work_dealer": 0, "work_rabbitmq": 1} == numbers(swarm)

    assert BEFORE == numbers(swarm)
    assert ["work_dealer", "work_updater", "tiles-data"] == [c.name for c in changes]
    assert {"kept": "yes"} == swarm.services.get("work_updater").attrs["Spec"]["Labels"]


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
