"""
What an updater reported, as rows; and the quantiles of a step from them.
"""

import math

import pandas as pd
import pytest

from runbook_lib.load.analysis.latency import latency_table, quantile_ms, show_latency
from runbook_lib.load.analysis.throughput import step_points
from runbook_lib.load.recordings.latency import latency_rows
from runbook_lib.load.recordings.schema import COLUMNS, Recording, read_recording
from runbook_lib.load.recordings.writer import RecordingWriter

RECORD = {
    "record": "latency",
    "time": "2026-01-15T10:00:05+00:00",
    "growth": 1.05,
    "buckets": [[0, 1], [100, 98], [150, 1]],
    "unstamped": 2,
    "absurd": 1,
}
DONE = [(pd.Timestamp(f"2026-01-15T10:00:{s:02}Z"), "w", "worker-1", 20.0 * s) for s in range(11)]
STEP = (0, 0, 4, *(pd.Timestamp(f"2026-01-15T10:00:{s:02}Z") for s in (0, 1, 10)))


def recorded(folder, *records):
    writer = RecordingWriter(folder)
    for record in records:
        for row in latency_rows(record, "manager"):
            writer.add("latencies", row)
    writer.add("steps", STEP)
    for row in DONE:
        writer.add("workers", row)
    writer.close()
    return read_recording(folder)


def table_of(recording):
    return latency_table(recording, step_points(recording))


def test_quantiles_of_a_step_come_back_from_the_disk(tmp_path):
    [row] = table_of(recorded(tmp_path, RECORD)).to_dict("records")
    assert (4, 100, 3) == (row["replicas"], row["results"], row["unstamped"])
    assert pytest.approx(1.05**101) == row["p50_ms"] == row["p95_ms"] == row["p99_ms"]


def test_what_is_outside_the_steady_part_is_not_counted(tmp_path):
    later = RECORD | {"time": "2026-01-15T10:00:30+00:00"}
    assert table_of(recorded(tmp_path, later)).empty


def test_a_recording_without_latency_reads_and_says_so(tmp_path):
    recording = recorded(tmp_path)
    assert "latencies.parquet is not there: not recorded" in recording.notes
    assert table_of(recording).empty
    assert math.isnan(quantile_ms(recording.latencies, 0.5))


def test_the_shares_of_two_updaters_are_added():
    rows = [*latency_rows(RECORD, "manager"), *latency_rows(RECORD, "worker-1")]
    both = pd.DataFrame(rows, columns=list(COLUMNS["latencies"]))
    assert pytest.approx(1.05**101) == quantile_ms(both, 0.5)
    assert table_of(Recording("", latencies=both)).empty


@pytest.mark.parametrize(
    "change",
    [
        {"time": None}, {"time": "soon"}, {"growth": 1}, {"growth": float("nan")},
        {"growth": 1e308}, {"buckets": None}, {"buckets": [[1]]}, {"buckets": [[-1, 1]]},
        {"buckets": [[401, 1]]}, {"buckets": [[1, -1]]}, {"buckets": [[1, 1]] * 401},
        {"buckets": [["x", 1]]}, {"unstamped": -5}, {"absurd": float("inf")},
    ],
)  # fmt: skip
def test_a_malformed_record_has_no_rows(change):
    assert [] == latency_rows(RECORD | change, "manager")


def test_the_finding_says_how_long_results_took_and_what_is_in_no_figure(tmp_path):
    shown = show_latency(recorded(tmp_path, RECORD))
    assert shown.picture is not None
    assert (
        "4 workers: half within 138 ms, 95 % within 138 ms, 99 % within 138 ms. "
        "Each is at most 5 % too high. Not counted: 3 results without a usable stamp."
    ) == shown.words


def test_without_latency_there_is_no_picture_and_the_box_says_what_it_needs(tmp_path):
    shown = show_latency(recorded(tmp_path))
    assert (None, "tasks that the dealer stamped, in a steady part") == (
        shown.picture,
        shown.words,
    )
