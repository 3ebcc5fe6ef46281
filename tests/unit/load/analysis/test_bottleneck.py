"""
The bottleneck: whose limit is reached, told by CPU, memory and queues that say so.
"""

import numpy as np
import pandas as pd
import pytest

from runbook_lib.core.errors import NotFoundError
from runbook_lib.load.analysis.bottleneck import find_bottleneck
from runbook_lib.load.analysis.utilisation import cpu_limits_of, node_vcpus
from runbook_lib.load.recordings.schema import Recording, empty_frame
from runbook_lib.stacks.compose import reading

T0 = pd.Timestamp("2026-01-15T10:00:00Z")
LIMITS = {"worker": 0.75, "dealer": 0.30, "updater": 0.30, "rabbitmq": 0.50}
SECONDS = 240


def containers(**cpus):
    """Two workers on a node; the others on the manager. Values: vCPUs of one container."""
    random = np.random.default_rng(1)
    frames = []
    for service, cpu in {"worker": 0.1, "dealer": 0.05, "rabbitmq": 0.1, **cpus}.items():
        for number in range(2 if service == "worker" else 1):
            noise = 1 + 0.02 * random.standard_normal(SECONDS)
            frames.append(
                pd.DataFrame(
                    {
                        "time": T0 + pd.to_timedelta(np.arange(SECONDS), unit="s"),
                        "node": "worker-1" if service == "worker" else "manager",
                        "service": service,
                        "container": f"{service}{number}",
                        "cpu_percent": 100 * cpu * noise,
                        "memory_bytes": 5e7,
                        "memory_limit_bytes": 4e8,
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def queue(name, ready):
    frame = empty_frame("queues").reindex(range(SECONDS))
    times = T0 + pd.to_timedelta(np.arange(SECONDS), unit="s")
    return frame.assign(time=times, queue=name, ready=np.asarray(ready, dtype=float))


BACKLOG = queue("TASK_QUEUE", np.full(SECONDS, 500.0))
GROWING = np.arange(SECONDS) * 2.0


def test_workers_at_their_limit_with_tasks_waiting():
    """0.74 of 0.75 CPU; the node's own CPU would allow two of them only 1.0, so here 4 vCPU."""
    found = find_bottleneck(
        Recording("x", stats=containers(worker=0.74), queues=BACKLOG), LIMITS, vcpus=4
    )
    assert "CPU limit of worker" == found.resource
    assert "no other is within its interval" in found.words


def test_a_node_whose_cpu_is_used_up():
    """Two workers of 0.49 fill one vCPU, while neither reaches its own limit."""
    found = find_bottleneck(
        Recording("x", stats=containers(worker=0.49), queues=BACKLOG), LIMITS, vcpus=1
    )
    assert "CPU of worker-1" == found.resource


def test_an_updater_that_cannot_keep_up():
    """Results pile up, so a worker's limit is not asked after."""
    found = find_bottleneck(
        Recording(
            "x",
            stats=containers(worker=0.74, updater=0.29),
            queues=pd.concat([BACKLOG, queue("RESULT_QUEUE", GROWING)]),
        ),
        LIMITS,
        vcpus=4,
    )
    assert "CPU limit of updater" == found.resource
    assert "RESULT_QUEUE grows by 2 messages a second" in found.words


def test_a_dealer_at_its_limit():
    found = find_bottleneck(
        Recording("x", stats=containers(dealer=0.29), queues=queue("TASK_QUEUE", [0] * SECONDS)),
        LIMITS,
    )
    assert "CPU limit of dealer" == found.resource


def test_a_dealer_that_pauses_is_no_resource():
    """Nothing is used up, and the queue is empty: BATCH and WAIT set the pace."""
    found = find_bottleneck(
        Recording("x", stats=containers(), queues=queue("TASK_QUEUE", [0] * SECONDS)), LIMITS
    )
    assert "" == found.resource
    assert "BATCH and WAIT set the pace" in found.words


def test_two_that_are_as_near_are_both_named():
    found = find_bottleneck(
        Recording("x", stats=containers(worker=0.735, rabbitmq=0.49), queues=BACKLOG),
        LIMITS,
        vcpus=4,
    )
    assert "cannot tell them apart" in found.words
    assert {"worker", "rabbitmq"} <= set(found.words.replace(",", "").replace(":", "").split())


def test_memory_counts_as_well():
    stats = containers()
    stats.loc[stats["service"] == "rabbitmq", "memory_bytes"] = 3.9e8
    found = find_bottleneck(Recording("x", stats=stats, queues=BACKLOG), LIMITS)
    assert "memory limit of rabbitmq" == found.resource


def test_without_queues_it_says_that_nothing_tells():
    found = find_bottleneck(Recording("x", stats=containers(worker=0.74)), LIMITS, vcpus=4)
    assert "No queue was recorded" in found.words


def test_only_the_steady_state_counts():
    """A minute of warm-up at the limit is no bottleneck."""
    stats = containers()
    early = (stats["time"] < T0 + pd.Timedelta("60s")) & (stats["service"] == "worker")
    stats.loc[early, "cpu_percent"] = 75.0
    steps = pd.DataFrame(
        [(0, 0, 2, T0, T0 + pd.Timedelta("60s"), T0 + pd.Timedelta("240s"))],
        columns=["step", "repetition", "replicas", "began", "steady_from", "ended"],
    )
    found = find_bottleneck(Recording("x", stats=stats, queues=BACKLOG, steps=steps), LIMITS)
    assert "" == found.resource
    assert found.utilisation["utilisation"].max() < 0.4


def test_a_node_uses_what_its_containers_use():
    assert pytest.approx(0.4, rel=0.01) == node_vcpus(containers(worker=0.2))["worker-1"]


def test_the_limits_are_those_of_the_stack_file():
    limits = cpu_limits_of(reading.read("stacks/geo-diff/work.yml"))
    assert LIMITS == {name: limits[name] for name in LIMITS}


def test_a_recording_without_samples_is_refused():
    with pytest.raises(NotFoundError, match="samples of containers"):
        find_bottleneck(Recording("x"), LIMITS)
