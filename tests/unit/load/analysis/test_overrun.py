"""
CPU over what the machine has: named with its reason, and kept out of the law.
"""

import numpy as np
import pandas as pd
import pytest

from runbook_lib.load.analysis.bottleneck import find_bottleneck
from runbook_lib.load.analysis.cpu_credits import PLANS
from runbook_lib.load.analysis.overrun import find_overruns, show_overruns, unusable_spans
from runbook_lib.load.analysis.sizing import find_sizing
from runbook_lib.load.analysis.throughput import step_points
from runbook_lib.load.recordings.schema import Recording
from tests.fakes.samples import at, decisions, samples

MICRO = PLANS["t2.micro"]
SPENT_S = 2400
"""At 80 % of a vCPU, 30 credits and 6 an hour last for 40 minutes."""
END_S = 5400


def broker(cpu, sent=5e6, **values):
    return samples(
        "manager", "rabbitmq", until_s=END_S, cpu=cpu, sent_per_s=sent, **values
    )  # fmt: skip


@pytest.fixture(scope="module")
def throttled():
    """80 % until the credits are spent; then it reads 289 and 400 %, and a tenth is sent."""
    cpu = np.vectorize(lambda s: 80.0 if s < SPENT_S else 289.0 if s % 120 < 60 else 400.0)
    stats = [
        broker(cpu, lambda s: np.where(s < SPENT_S, 5e6, 5e5)),
        samples("worker-1", "worker", until_s=END_S, cpu=30.0),
    ]
    return pd.concat(stats)


def test_it_is_told_by_node_and_minutes_with_the_end_of_the_credits(throttled):
    (found,) = find_overruns(throttled, MICRO)
    assert ("manager", at(SPENT_S)) == (found.node, found.began)
    assert found.ended >= at(END_S)
    assert pytest.approx(4.0, abs=0.1) == found.highest
    assert abs(found.spent_at - at(SPENT_S)) <= pd.Timedelta("2min")
    assert "its CPU credits were spent" in repr(found)


def test_the_output_then_and_otherwise_is_compared(throttled):
    shown = show_overruns(throttled, MICRO)
    assert "they sent 0.5 MB/s then, and 5 MB/s in the 40 other minutes at work" in shown.words
    assert ["25%"] == shown.picture["the machine got about"].tolist()


def test_with_credits_left_it_was_the_host():
    """Five per cent for ten minutes cannot spend them: somebody else's load took the CPU."""
    (found,) = find_overruns(broker(lambda s: np.where(s < 600, 5.0, 300.0)), MICRO)
    assert not found.is_by_credits
    assert "the host took the CPU away (steal)" in repr(found)


@pytest.mark.parametrize("cpu", [99.0, lambda s: np.where(s % 60 == 0, 131.0, 80.0)])
def test_a_busy_node_and_a_single_reading_are_none(cpu):
    """As in the third published experiment, whose manager reads 131 % once."""
    assert [] == unusable_spans(broker(cpu), MICRO.vcpus)
    assert "No node reads more CPU than its machine has" in show_overruns(broker(cpu), MICRO).words


def test_a_counter_that_jumped_once_is_no_steal():
    """1,827 % in one of six readings makes 370 % of a minute."""
    jumped = broker(lambda s: np.where(s == 1230, 1827.0, 60.0))
    assert [] == unusable_spans(jumped, MICRO.vcpus)


def test_two_containers_of_one_minute_are_not_added_up():
    """One ends and the next begins: each had 60 %, and the node never 120."""
    first = samples("manager", "rabbitmq", until_s=600, cpu=60.0)
    second = samples("manager", "rabbitmq", since_s=610, until_s=1200, cpu=60.0)
    assert [] == unusable_spans(pd.concat([first, second]), MICRO.vcpus)


def test_two_vcpus_may_read_two_hundred_per_cent():
    assert [] == unusable_spans(broker(199.0), 2)


def test_nothing_is_made_of_the_time_between_two_recordings():
    """An hour without samples between two minutes above the CPU is no stretch of an hour."""
    first = samples("manager", "rabbitmq", until_s=120, cpu=300.0)
    second = samples("manager", "rabbitmq", since_s=3720, until_s=3900, cpu=300.0)
    lost = sum((b - a).total_seconds() for a, b in unusable_spans(pd.concat([first, second]), 1))
    assert lost <= 480


def test_these_minutes_are_kept_out_of_the_law(throttled):
    """60 a second at 8 workers; without CPU, 6 a second."""
    seconds = 5.0 * np.arange(END_S // 5)
    rate = np.where(seconds < SPENT_S, 60.0, 6.0)
    seen = decisions([8.0] * len(seconds)).assign(published_per_s=rate)
    recording = Recording("x", stats=throttled, autoscaler=seen)
    assert 40 > step_points(recording)["tiles_per_s"].iloc[0]
    points = step_points(recording, unusable_spans(throttled, 1))
    assert [60.0] == points["tiles_per_s"].tolist()

    found = find_sizing(recording, instance_type="t2.micro")
    assert pytest.approx(60) == found.rate.value
    assert any("manager reads up to 400% CPU of 1 vCPU" in limit for limit in found.limits)


def test_a_step_without_its_cpu_is_left_out_and_named(throttled):
    steps = pd.DataFrame(
        [(0, 0, 2, at(0), at(60), at(600)), (1, 0, 4, at(3000), at(3060), at(3600))],
        columns=["step", "repetition", "replicas", "began", "steady_from", "ended"],
    )
    seconds = np.arange(0, END_S, 10.0)
    done = pd.DataFrame(
        {"time": [at(s) for s in seconds], "task": "a", "node": "worker-1", "tiles_done": seconds}
    )
    recording = Recording("x", stats=throttled, steps=steps, workers=done)
    found = find_sizing(recording, instance_type="t2.micro")
    assert [2] == found.fit.measured["replicas"].tolist()
    assert "step 1 ran without the full CPU of its machines and is left out" in found.limits


def test_the_bottleneck_is_asked_of_the_other_minutes(throttled):
    """400 % of a CPU is no use of it."""
    found = find_bottleneck(Recording("x", stats=throttled), {})
    used = found.utilisation.set_index("resource")["utilisation"]
    assert pytest.approx(0.8, abs=0.01) == used["CPU of manager"]
    assert "Minutes in which a node had less CPU than its machine are left out" in found.words
