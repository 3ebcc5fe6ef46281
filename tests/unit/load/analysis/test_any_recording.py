"""
Whatever was recorded, both pages are drawn to their end, and say nothing that cannot be.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook_lib.core.findings import Finding
from runbook_lib.load.analysis.at_work import idle_spans
from runbook_lib.load.analysis.cost_findings import (
    show_costs,
    show_credits,
    show_idle,
    show_savings,
)
from runbook_lib.load.analysis.coverage import cannot_tell, find_coverage
from runbook_lib.load.analysis.cpu_credits import PLANS
from runbook_lib.load.analysis.machine_views import all_views
from runbook_lib.load.analysis.machines import signs_of_another_type, worker_nodes
from runbook_lib.load.analysis.overrun import unusable_spans
from runbook_lib.load.analysis.run_costs import find_costs
from runbook_lib.load.analysis.sizing import find_sizing
from runbook_lib.load.analysis.sizing_box import summarise
from runbook_lib.load.autoscaling.replay import show_replay
from runbook_lib.load.recordings.schema import Recording, empty_frame
from tests.fakes.samples import decisions, samples

pytestmark = pytest.mark.slow

MICRO = PLANS["t2.micro"]
NODES = st.sampled_from(["manager", "worker-1", "worker-3", "ip-10-0-0-12", "a b"])
SERVICES = st.sampled_from(["worker", "rabbitmq", "rabbitmq-server", "dealer", "x"])
LEVELS = st.sampled_from([0.0, 0.4, 60.0, 99.0, 400.0, float("nan")])
SENT = st.sampled_from([0.0, 10.0, 5e6, float("nan")])
TIMES = st.integers(0, 900)


@st.composite
def containers(draw):
    since, lasts = draw(TIMES), draw(TIMES)
    return samples(
        draw(NODES), draw(SERVICES), since_s=since, until_s=since + lasts, cpu=draw(LEVELS),
        sent_per_s=draw(SENT), number=draw(st.integers(0, 3)),
    )  # fmt: skip


@st.composite
def recordings(draw):
    stats = draw(st.lists(containers(), max_size=6))
    frame = pd.concat(stats, ignore_index=True) if stats else empty_frame("stats")
    found = Recording("x", stats=frame.sort_values("time", ignore_index=True))
    if draw(st.booleans()):
        running = draw(st.lists(st.sampled_from([1.0, 4.0, 9.0]), min_size=1, max_size=80))
        rate = draw(st.sampled_from([0.0, 60.0, float("nan")]))
        seen = decisions(running, since_s=draw(TIMES)).assign(published_per_s=rate)
        found = replace(found, autoscaler=seen)
    if draw(st.booleans()):
        ready = draw(st.lists(st.sampled_from([0.0, 3.0, 900.0]), min_size=1, max_size=40))
        queue = empty_frame("queues").reindex(range(len(ready)))
        times = decisions([1.0] * len(ready))["time"]
        found = replace(found, queues=queue.assign(time=times, queue="TASK_QUEUE", ready=ready))
    return found


@settings(max_examples=10)
@given(recordings())
def test_both_pages_reach_their_end(found):
    """Each example is two pages of findings, and takes a second."""
    answer = find_sizing(found, instance_type="t2.micro")
    costs = find_costs(answer, tiles=1000, usd_per_hour=0.02)
    idle, saved = show_idle(answer, 0.02), show_savings(found, 0.02)
    shown = [idle, saved, show_replay(found), show_costs(answer, costs), show_credits(answer)]
    views = all_views(found, MICRO)
    words = [repr(summarise(answer, costs)), *(finding.words for finding in shown)]
    box = cannot_tell(find_coverage(found), views | {"Idle": idle}, answer.limits)
    words += [repr(box), repr(find_coverage(found)), *signs_of_another_type(found, "t2.micro")]
    assert [] == [text for text in words if "nan" in text.replace("manager", "")]
    for view in views.values():
        if not isinstance(view, Finding | pd.DataFrame):
            view.to_dict()


@settings(max_examples=10)
@given(recordings())
def test_what_is_idle_computes_nothing_and_saves_nothing_twice(found):
    lost = unusable_spans(found.stats, MICRO.vcpus)
    for began, ended in idle_spans(found):
        assert ended - began >= pd.Timedelta("1min")
        assert not any(began < b and a < ended for a, b in lost)
    running = found.autoscaler["running"]
    saved = show_savings(found, 0.02)
    if saved.picture is not None and running.min() >= len(worker_nodes(found)) > 0:
        assert "would save 0 node-hours" in saved.words
    assert np.isfinite(found.autoscaler["wanted"]).all()
