"""
A load recorded on the lab: what is in the files, what an interrupt keeps, what is put back.

Needs a cluster with the work stack deployed; a module of its own, so that it can come before the
undo family of `test_runbook`.
"""

import os
import signal

import pandas as pd
import pytest

from runbook_lib.load.recordings.schema import read_recording
from tests.lab.harness import seen

pytestmark = pytest.mark.lab

SHORT = {
    "replicas": "1,3",
    "repetitions": 1,
    "step_s": 45,
    "wait_s": 1,
    "worker_cpus": 0.1,  # as a t2.micro without credits: what the lab's one machine can stand
    "most_p95_ms": 3_600_000,
    "least_tiles_per_s": 0.1,
    "most_dead_letters": 0,
}


@pytest.fixture(scope="module")
def recorded(deployed):
    """One short sweep, and its page."""
    page = deployed.run("--only", "10", **SHORT)["10"]
    return page, read_recording(sorted(deployed.runs.glob("2*/load"))[-1])


def test_a_sweep_is_recorded_whole(recorded):
    """Every table, every node, every step; nothing was lost on the way."""
    page, recording = recorded
    lost = {source: cost["lost"] for source, cost in recording.experiment["recorder"].items()}

    assert "passed" == page["verdict"]
    assert () == recording.notes
    assert {0} == set(lost.values())
    assert {"manager", *(f"worker-{n}" for n in range(1, 5))} == set(recording.stats["node"])
    assert [1, 3] == sorted(recording.steps["replicas"])


def test_samples_come_at_their_rate(recorded):
    """Of a container that ran all the time, the median gap is the sample period."""
    _, recording = recorded
    broker = recording.stats[recording.stats["service"] == "rabbitmq"]
    gaps = broker["time"].diff().dt.total_seconds().dropna()

    assert pytest.approx(1.0, abs=0.05) == gaps.median()


def test_counters_agree_with_each_other(recorded):
    """The workers' counts equal the broker's, up to each worker's last record."""
    _, recording = recorded
    tasks = recording.queues[recording.queues["queue"] == "TASK_QUEUE"]
    acknowledged = tasks["acknowledged"].max() - tasks["acknowledged"].min()
    counters = recording.workers.groupby("task")["tiles_done"]
    done = (counters.max() - counters.min()).sum()

    assert 0 < done <= acknowledged * 1.01
    assert acknowledged <= done * 1.6  # a worker reports every five seconds, and not when it ends


def test_each_result_has_a_latency(recorded):
    """Three a tile, up to what the updater had not reported when the recording ended."""
    _, recording = recorded
    stamped = recording.latencies[recording.latencies["below_ms"].notna()]
    tiles = recording.workers.groupby("task")["tiles_done"].agg(lambda n: n.max() - n.min()).sum()

    assert stamped["results"].sum() == recording.latencies["results"].sum()
    assert pytest.approx(3 * tiles, rel=0.6) == stamped["results"].sum()


def test_workers_kept_to_their_limit(recorded):
    """A limit of 0.1 CPU is one of 10 %, which the samples must show."""
    _, recording = recorded
    last = recording.steps["ended"].iloc[0]
    worker = recording.stats[recording.stats["service"] == "worker"]
    worker = worker[worker["time"].between(last - pd.Timedelta(seconds=20), last)]

    assert 2 < worker["cpu_percent"].mean() < 11


def test_an_interrupt_keeps_what_was_measured_and_puts_the_stack_back(deployed):
    """Then 06 finds nothing to do: every service is as it was, word for word."""
    before = set(deployed.runs.glob("2*"))
    running = deployed.start("--only", "10", **SHORT)
    (folder,) = seen(lambda: set(deployed.runs.glob("2*")) - before)
    seen(lambda: list(folder.glob("load/queues.parquet/part-000002.parquet")))
    os.kill(running.pid, signal.SIGINT)
    output, _ = running.communicate(timeout=120)
    recording = read_recording(folder / "load")
    again = deployed.run("--only", "06")["06"]

    assert 130 == running.returncode, output
    assert len(recording.stats) > 20
    assert 1 == len(recording.steps)
    assert [] == again["changes"]
