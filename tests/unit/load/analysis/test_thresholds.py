"""
Thresholds of a load test: what misses them, and the sweep that ends at the first step that does.
"""

from types import SimpleNamespace

import pandas as pd
import pytest

from runbook_lib.load.analysis.thresholds import Thresholds
from runbook_lib.load.experiment import sweep
from runbook_lib.load.experiment.plan import plan
from runbook_lib.load.recordings.latency import latency_rows
from runbook_lib.load.recordings.writer import RecordingWriter

NONE = Thresholds(0, 0, -1)
BEGAN = pd.Timestamp("2026-01-15T10:00:00Z")
PLAN = {
    "wait_s": 1.0, "batch": 300, "qty_task": 50, "refresh_rate_s": 5, "min_scale": 1,
    "max_scale": 4, "replicas": ["1"], "repetitions": 4, "step_s": 60.0, "limit_s": 900.0,
    "sample_period_s": 1.0, "worker_cpus": 0.0, "seed": 1,
}  # fmt: skip


def at(second):
    return BEGAN + pd.Timedelta(seconds=second)


def write_step(writer, step, *, rate=20.0, bucket=100, buried=0.0, steady=True):
    """A minute of four workers; the results lie between 1.05^bucket and 1.05^(bucket + 1) ms."""
    for second in range(step * 100, step * 100 + 61, 5):
        writer.add("workers", (at(second), f"t{step}", "worker-1", rate * (second - step * 100)))
        depth = (3.0, 0.0, 0.0, 0.0, 0.0, 1)
        writer.add("queues", (at(second), "TASK_QUEUE", *depth))
        writer.add("queues", (at(second), "DEAD_LETTER_QUEUE", buried, 0.0, buried, 0.0, 0.0, 0))
        record = {"time": at(second).isoformat(), "growth": 1.05, "buckets": [[bucket, 300]]}
        for row in latency_rows(record | {"unstamped": 0, "absurd": 0}, "manager"):
            writer.add("latencies", row)
    since = at(step * 100 + 10) if steady else None
    writer.add("steps", (step, 0, 4, at(step * 100), since, at(step * 100 + 60)))


@pytest.fixture
def folder(tmp_path):
    """Two steps: 20 tiles a second within 138 ms, then 5 within 1,583 ms; one task was buried."""
    writer = RecordingWriter(tmp_path)
    write_step(writer, 0)
    write_step(writer, 1, rate=5.0, bucket=150, buried=1.0)
    writer.close()
    return tmp_path


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        (NONE, []),
        (Thresholds(1600, 4.9, 1), []),
        (Thresholds(200, 0, -1), ["step 2, 4 workers: p95 1583 ms, at most 200"]),
        (Thresholds(0, 10, -1), ["step 2, 4 workers: 5.0 tiles/s, at least 10"]),
        (Thresholds(0, 0, 0), ["1 dead letter, at most 0"]),
    ],
)
def test_what_is_missed_is_named_with_its_step(folder, thresholds, expected):
    assert expected == thresholds.missed(folder)


def test_what_was_not_measured_counts_as_missed(tmp_path):
    writer = RecordingWriter(tmp_path)
    write_step(writer, 0, steady=False)
    writer.close()
    (tmp_path / "latencies.parquet").unlink()
    (tmp_path / "queues.parquet").unlink()
    assert ["step 1 had no steady part", "dead letters were not recorded"] == Thresholds(
        100, 1, 5
    ).missed(tmp_path)


def test_a_load_without_latency_misses_its_threshold(folder):
    (folder / "latencies.parquet").unlink()
    missed = Thresholds(100, 0, -1).missed(folder)
    assert ["latency was not recorded"] * 2 == [words.partition(": ")[2] for words in missed]


class Quick(sweep.Sweep):
    """A sweep whose steps take no time, so that its own rows have no steady part."""

    def _reach(self, step, progress):
        pass

    def _record(self, until, progress, title, left):
        step = len(self._rows)
        write_step(self._recorder, step, rate=20.0 if step == 0 else 5.0)


def test_a_sweep_ends_at_the_first_step_that_misses(tmp_path, monkeypatch):
    """Four steps are planned, and the second is too slow."""
    monkeypatch.setattr(sweep, "scale", lambda *_: None)
    writer = RecordingWriter(tmp_path)
    recorder = SimpleNamespace(folder=tmp_path, done=[], add=writer.add, flush=writer.flush)
    asked = []

    def missed(folder):
        found = Thresholds(0, 10, -1).missed(folder)
        asked.append([words for words in found if "tiles/s" in words])
        return asked[-1]

    Quick(None, "worker", plan(PLAN), recorder).run(missed)
    assert [[], ["step 2, 4 workers: 5.0 tiles/s, at least 10"]] == asked
