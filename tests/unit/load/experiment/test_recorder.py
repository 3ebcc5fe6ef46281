"""
A recording of a stack that has no queues: what is told of it, and what is not counted.
"""

import json

from runbook_lib.core.wait import wait_seconds
from runbook_lib.load.experiment import recorder
from runbook_lib.load.experiment.plan import Observation
from tests.fakes.docker import Engine, Service


def service(name, **resources):
    return Service(f"board_{name}", {"TaskTemplate": {"Resources": resources}})


def test_the_cpu_limits_are_those_of_the_live_services():
    limited = service("web", Limits={"NanoCPUs": 200_000_000, "MemoryBytes": 1})
    services = [limited, service("store", Limits={"MemoryBytes": 1}), service("beat")]

    expected = {"stack": "board", "cpu_limits": {"web": 0.2}}
    assert expected == recorder.stack_facts(Engine(services=services), "board")


def test_a_recording_without_queues_has_no_row_for_them_and_waits_for_no_broker(tmp_path):
    watched = Observation(record_s=0.01, sample_period_s=1.0)
    with recorder.recording({}, None, watched, {"hostnames": {}}, tmp_path) as recorded:
        wait_seconds("Recorded", watched.record_s)
    told = json.loads((tmp_path / "experiment.json").read_text())

    assert [] == list(recorded.table["source"])
    assert [] == recorded.done
    assert (0.01, 1.0) == (told["record_s"], told["sample_period_s"])
    assert "autoscaler_held" not in told
    assert told["began"] <= told["ended"]
