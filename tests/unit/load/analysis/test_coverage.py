"""
What a recording covers, and what it cannot tell: collected, and said once.
"""

import pandas as pd

from runbook_lib.core.findings import Finding
from runbook_lib.load.analysis.coverage import cannot_tell, find_coverage
from runbook_lib.load.analysis.cpu_credits import PLANS
from runbook_lib.load.analysis.machine_views import all_views
from runbook_lib.load.recordings.schema import Recording, empty_frame, read_recording
from tests.fakes.samples import at, decisions, samples
from tests.fakes.sweep import write_sweep

NAMED = {"instance_type": "t2.micro", "cpu_limits": {"worker": 0.5}}


def recording(*stats, **tables):
    return Recording("x", stats=pd.concat(stats), experiment=NAMED, **tables)


def missing(found):
    return dict(cannot_tell(find_coverage(found), {}).rows)


MANAGER = samples("manager", "rabbitmq", until_s=1800)


def test_each_node_is_told_from_when_to_when():
    late = samples("worker-1", "worker", since_s=600, until_s=1200)
    nodes = find_coverage(recording(MANAGER, late)).nodes
    assert [
        ("manager", "10:00:00", "10:30:00", 181, 1, 0),
        ("worker-1", "10:10:00", "10:20:00", 61, 1, 600),
    ] == list(nodes.itertuples(index=False, name=None))


def test_a_gap_of_one_node_is_its_own_and_one_of_all_is_said_once():
    """All are silent from 10:30 to 10:40; worker-1 also before."""
    later = samples("manager", "rabbitmq", since_s=2400, until_s=3000)
    first = samples("worker-1", "worker", until_s=900)
    second = samples("worker-1", "worker", since_s=2400, until_s=3000)
    gaps = missing(recording(MANAGER, later, first, second))
    assert "no sample from 10:30:00 to 10:40:00" == gaps["All nodes"]
    assert "no sample, or no container, from 10:15:00 to 10:40:00" == gaps["worker-1"]
    assert "manager" not in gaps


def test_a_node_without_any_sample_is_missing():
    stats = [samples(f"worker-{n}", "worker", until_s=600) for n in (1, 3)]
    gaps = missing(recording(*stats))
    assert "not sampled: what ran there is missing" == gaps["manager"] == gaps["worker-2"]


def test_workers_wanted_and_seen_are_compared_at_the_same_time():
    """Twelve wanted and ten seen; an hour later, without samples, eight."""
    stats = [samples("worker-1", "worker", until_s=1800, number=n) for n in range(10)]
    decided = pd.concat([decisions([12.0] * 360), decisions([8.0] * 360, since_s=7200)])
    found = find_coverage(recording(MANAGER, *stats, autoscaler=decided))
    assert "12 wanted all the time; 10.0 seen" in found.workers
    assert "CPU and traffic of the others are missing" in dict(found.gaps)["Workers"]

    whole = find_coverage(recording(MANAGER, *stats, autoscaler=decisions([10.0] * 360)))
    assert "Workers" not in dict(whole.gaps)


def test_workers_of_a_sweep_are_counted_step_by_step(tmp_path):
    sweep = read_recording(write_sweep(tmp_path, (1, 4, 8)))
    assert "1 to 8 wanted in 3 steps, all seen" == find_coverage(sweep).workers
    lost = sweep.workers[sweep.workers["task"] != "2-8"]
    poor = Recording("x", stats=sweep.stats, workers=lost, steps=sweep.steps, experiment=NAMED)
    assert "7 of 8 in step 2" in dict(find_coverage(poor).gaps)["Workers"]


def test_a_log_of_the_autoscaler_for_a_part_of_the_time_is_told():
    """As in the first published experiment: four minutes of more than an hour."""
    found = recording(MANAGER, autoscaler=decisions([8.0] * 48, since_s=600))
    assert (
        "recorded from 10:10 to 10:13, the containers from 10:00 to 10:30"
        == missing(found)["Autoscaler"]
    )


def test_all_that_is_missing_stands_in_one_box():
    found = Recording("x", stats=MANAGER)
    box = cannot_tell(
        find_coverage(found), all_views(found, PLANS["t2.micro"]), ["it has no throughput"]
    )
    rows = dict(box.rows)
    assert "It has no throughput." == rows["The answer"]
    assert "needs the load that an autoscaler measured" == rows["Load"]
    assert "not named: that of the parameter is assumed" == rows["Instance type"]
    assert 1 == [name for name, _ in box.rows].count("Queues")
    assert all(words in box._repr_html_() for words in rows.values())


def test_a_complete_recording_says_so():
    stats = [MANAGER, samples("worker-1", "worker", until_s=1800)]
    queues = empty_frame("queues").reindex(range(2))
    queues = queues.assign(time=[at(0), at(1800)], queue="TASK_QUEUE", ready=1.0)
    found = recording(*stats, queues=queues, autoscaler=decisions([1.0] * 360))
    assert "Nothing that this page asks for is missing." == repr(
        cannot_tell(find_coverage(found), {"Idle": Finding("idle", "a picture")})
    )
