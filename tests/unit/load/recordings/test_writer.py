"""
What was measured is on disk every few seconds, and is one file a table in the end.
"""

import json
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq

from runbook_lib.load.recordings.schema import read_recording
from runbook_lib.load.recordings.writer import RecordingWriter

START = datetime(2026, 1, 15, 10, tzinfo=UTC)


def rows(count):
    return [
        (START + timedelta(seconds=n), "TASK_QUEUE", n, 0, n * 10, n * 10, n * 10, 4)
        for n in range(count)
    ]


def written(folder, count, **options):
    writer = RecordingWriter(folder, **options)
    for row in rows(count):
        writer.add("queues", row)
    return writer


def test_a_recording_is_one_file_a_table_in_the_end(tmp_path):
    writer = written(tmp_path, 100, flush_s=0.0)
    writer.describe({"batch": 300})
    writer.close()
    recording = read_recording(tmp_path)
    assert [n * 10 for n in range(100)] == list(recording.queues["acknowledged"])
    assert {"batch": 300} == recording.experiment
    assert ["experiment.json", "queues.parquet"] == sorted(p.name for p in tmp_path.iterdir())
    assert 1 == pq.ParquetFile(tmp_path / "queues.parquet").num_row_groups


def test_a_killed_recorder_leaves_what_it_wrote_so_far(tmp_path):
    """Nobody closed it: the folder of parts is read as the table."""
    written(tmp_path, 100, flush_s=0.0)
    assert 100 == len(read_recording(tmp_path).queues)


def test_a_part_that_was_not_finished_is_left_out(tmp_path):
    written(tmp_path, 3, flush_s=0.0)
    (tmp_path / "queues.parquet" / ".part-000003.parquet.partial").write_bytes(b"PAR1")
    assert 3 == len(read_recording(tmp_path).queues)


def test_rows_wait_in_memory_until_it_is_time(tmp_path):
    writer = written(tmp_path, 5, flush_s=3600.0)
    assert [] == list(tmp_path.iterdir())
    writer.close()
    assert 5 == len(read_recording(tmp_path).queues)


def test_a_table_of_which_nothing_came_has_no_file(tmp_path):
    written(tmp_path, 1).close()
    assert not (tmp_path / "steps.parquet").exists()


def test_a_step_that_never_was_steady_is_written(tmp_path):
    writer = RecordingWriter(tmp_path)
    writer.add("steps", (0, 0, 4, START, None, START))
    writer.close()
    assert read_recording(tmp_path).steps["steady_from"].isna().all()


def test_the_description_is_replaced_whole(tmp_path):
    writer = RecordingWriter(tmp_path)
    writer.describe({"batch": 300})
    writer.describe({"batch": 300, "ended": "now"})
    assert {"batch": 300, "ended": "now"} == json.loads((tmp_path / "experiment.json").read_text())
