"""
A service's specification for a load test: its variables and its tiles, and nothing else.
"""

import base64
import copy
import json
import os
import signal

import pytest

from runbook_lib.load.experiment import load_stack
from runbook_lib.load.experiment.load_stack import limited, spec_for_load, uninterrupted
from runbook_lib.stacks.running.specs import changed_services
from tests.fakes.docker import Engine, Model, Service

DEALER = {
    "Name": "geo-diff-work_dealer",
    "Labels": {"com.docker.stack.namespace": "geo-diff-work"},
    "Mode": {"Replicated": {"Replicas": 1}},
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "geo-diff:1",
            "Env": ["BATCH=300", "WAIT=2", "MAX_QUEUED=20000", "TERM=a=b"],
            "Mounts": [
                {"Type": "volume", "Source": "tiles-data", "Target": "/tiles", "ReadOnly": True},
                {"Type": "tmpfs", "Target": "/tmp"},
            ],
        },
        "Resources": {"Limits": {"NanoCPUs": 300000000}, "Reservations": {"NanoCPUs": 50000000}},
    },
}
VARIABLES = {"BATCH": 600, "WAIT": 1.0, "HOLD": "yes"}


def test_only_variables_that_the_service_has_are_set():
    container = spec_for_load(DEALER, VARIABLES, "/srv/load")["TaskTemplate"]["ContainerSpec"]
    assert ["BATCH=600", "WAIT=1.0", "MAX_QUEUED=20000", "TERM=a=b"] == container["Env"]


def test_the_tiles_are_others_and_as_writable_as_before():
    container = spec_for_load(DEALER, VARIABLES, "/srv/load")["TaskTemplate"]["ContainerSpec"]
    assert [
        {"Type": "bind", "Source": "/srv/load", "Target": "/tiles", "ReadOnly": True},
        {"Type": "tmpfs", "Target": "/tmp"},
    ] == container["Mounts"]


def test_only_a_service_with_an_audit_gets_a_folder_for_it():
    """Beside the tiles, under the name that it has in the container."""
    told = {**VARIABLES, "AUDIT": "/books"}
    keeper = copy.deepcopy(DEALER)
    keeper["TaskTemplate"]["ContainerSpec"]["Env"].append("AUDIT=no")
    mounts = [
        spec_for_load(spec, told, "/srv/load")["TaskTemplate"]["ContainerSpec"]["Mounts"]
        for spec in (DEALER, keeper)
    ]
    assert [{"Type": "bind", "Source": "/srv/load/books", "Target": "/books"}] == [
        mount for mount in mounts[1] if mount not in mounts[0]
    ]
    assert 1 == len(mounts[1]) - len(mounts[0])


def manager_of(dealer):
    """One whose stack has a dealer, and a config in which a load test kept how it was."""
    kept = base64.b64encode(json.dumps({"dealer": DEALER}).encode()).decode()
    return Engine(
        services=[Service("geo-diff-work_dealer", dealer)],
        configs=[Model("geo-diff-work.before-load-test", Spec={"Data": kept})],
    )


RESTING = {**DEALER, "Mode": {"Replicated": {"Replicas": 0}}}


@pytest.mark.parametrize(
    "left", [RESTING, spec_for_load(DEALER, VARIABLES, "/srv/load")], ids=["resting", "on others"]
)
def test_a_killed_load_test_is_put_back_wherever_it_was(left, monkeypatch):
    put_back = []
    monkeypatch.setattr(load_stack, "_put_back", lambda *told: put_back.append(told[-1]))
    load_stack.ensure_put_back(manager_of(left), None, "geo-diff-work")

    assert [{"dealer": DEALER}] == put_back


def test_a_stack_that_was_deployed_since_is_left_as_it_is():
    manager = manager_of(DEALER)
    changes = load_stack.ensure_put_back(manager, None, "geo-diff-work")

    assert ["removed"] == [change.action for change in changes]
    assert [] == manager.configs.list()
    assert [] == load_stack.ensure_put_back(manager, None, "geo-diff-work")


def test_what_was_there_before_is_not_touched():
    """It is what will be put back."""
    before = copy.deepcopy(DEALER)
    limited(spec_for_load(DEALER, VARIABLES, "/srv/load"), 0.1)
    assert before == DEALER


def test_a_smaller_limit_takes_the_reservation_with_it():
    assert {
        "Limits": {"NanoCPUs": 20000000},
        "Reservations": {"NanoCPUs": 20000000},
    } == limited(DEALER, 0.02)["TaskTemplate"]["Resources"]


def test_a_larger_limit_leaves_the_reservation():
    resources = limited(DEALER, 1.0)["TaskTemplate"]["Resources"]
    assert (1000000000, 50000000) == tuple(part["NanoCPUs"] for part in resources.values())


def test_services_differ_by_more_than_their_replicas():
    """How many workers there are is the autoscaler's affair."""
    scaled = {**DEALER, "Mode": {"Replicated": {"Replicas": 7}}}
    assert [] == changed_services({"dealer": DEALER}, {"dealer": scaled})
    changed = spec_for_load(DEALER, VARIABLES, "/srv/load")
    assert ["dealer"] == changed_services({"dealer": DEALER}, {"dealer": changed})


def test_a_service_that_is_gone_differs():
    assert ["dealer"] == changed_services({"dealer": DEALER}, {})


def test_an_interrupt_waits_until_all_is_put_back_and_is_not_forgotten():
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("put back")
    assert ["put back"] == done
    with uninterrupted():
        done.append("nobody asked")
