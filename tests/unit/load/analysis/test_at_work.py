"""
When a stack was at work and when it was idle: told by traffic, CPU and decisions together.
"""

from dataclasses import replace

import pandas as pd
import pytest

from runbook_lib.load.analysis.at_work import idle_spans, steady
from runbook_lib.load.analysis.bottleneck import find_bottleneck
from runbook_lib.load.analysis.cost_findings import show_idle
from runbook_lib.load.analysis.sizing import find_sizing
from runbook_lib.load.recordings.schema import Recording
from tests.fakes.samples import at, decisions, samples

LOAD_S, END_S = 180, 1970


def then_idle(high, low):
    return lambda seconds: (seconds < LOAD_S) * (high - low) + low


@pytest.fixture(scope="module")
def recording():
    """Three minutes of load, then half an hour in which a worker uses 0.4 %."""
    sent = then_idle(5e6, 0.0)
    stats = [
        samples("manager", "rabbitmq", until_s=END_S, cpu=then_idle(60, 0.4), sent_per_s=sent),
        samples("worker-1", "worker", until_s=END_S, cpu=then_idle(60, 0.4), sent_per_s=sent),
    ]
    return Recording("x", stats=pd.concat(stats))


def idle_of(recording):
    return show_idle(find_sizing(recording, instance_type="t2.micro"), 0.02)


def test_the_idle_time_after_a_load_is_seen(recording):
    shown = idle_of(recording)
    assert [("worker-1", 0.4)] == list(shown.picture.itertuples(index=False, name=None))
    assert "In 30 idle minutes worker-1 idles at 0.4 % CPU." in shown.words
    assert "on 1 node cost 0.0200 USD" in shown.words


def test_idle_time_before_a_load_is_seen_too(recording):
    """The load is in the last three minutes."""
    turned = recording.stats.assign(time=at(END_S) - (recording.stats["time"] - at(0)))
    counters = ["net_in_bytes", "net_out_bytes"]
    turned[counters] = 1e12 - turned[counters]
    (span,) = idle_spans(replace(recording, stats=turned.sort_values("time")))
    assert at(0) == span[0]
    assert abs(span[1] - at(END_S - LOAD_S)) < pd.Timedelta("30s")


def test_a_load_in_a_tenth_of_the_time_is_what_the_bottleneck_is_asked_of(recording):
    """60 % while there was load: over the whole recording it would be 6 %."""
    found = find_bottleneck(recording, {}).utilisation.set_index("resource")
    assert pytest.approx(0.6) == found.loc["CPU of manager", "utilisation"]
    assert at(LOAD_S) > steady(recording.stats, recording)["time"].max()


def test_workers_that_compute_without_traffic_are_not_idle():
    stats = samples("worker-1", "worker", until_s=600, cpu=50.0)
    assert [] == idle_spans(Recording("x", stats=stats))
    assert idle_of(Recording("x", stats=stats)).picture is None


def test_an_autoscaler_that_sees_load_says_that_it_is_not_idle():
    stats = samples("worker-1", "worker", until_s=600, cpu=0.4)
    seen = decisions([4.0] * 60)  # five minutes
    (span,) = idle_spans(Recording("x", stats=stats, autoscaler=seen))
    assert (at(300), at(600)) == span


def test_idle_workers_are_priced_by_the_nodes_that_they_occupy():
    """Of three, one is not sampled any more when it is idle; one is, and has no worker."""
    stats = [samples("manager", "rabbitmq", until_s=END_S, cpu=0.4)]
    lives = {"worker-1": END_S, "worker-2": LOAD_S - 30, "worker-3": LOAD_S - 30}
    for node, until_s in lives.items():
        load = {"cpu": then_idle(60, 0.4), "sent_per_s": then_idle(5e6, 0.0)}
        stats.append(samples(node, "worker", until_s=until_s, **load))
    stats.append(samples("worker-3", "cadvisor", until_s=END_S, cpu=0.1))
    shown = idle_of(Recording("x", stats=pd.concat(stats)))
    assert "on 2 nodes cost 0.0400 USD" in shown.words
    assert "worker-2 had no samples then: assumed to idle as the others did" in shown.words
