"""
The tidy schema on disk: what was written is read back, and what is missing or cut short is said.
"""

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runbook_lib.core.errors import IntegrityError, NotFoundError
from runbook_lib.load.recordings.schema import (
    COLUMNS,
    SCHEMAS,
    Recording,
    empty_frame,
    read_recording,
)

ROW = {
    "time": pd.Timestamp("2026-01-15T10:00:00Z"),
    "node": "worker-1",
    "service": "worker",
    "container": "af73d8d2acf0",
    "cpu_percent": 14.5,
    "memory_bytes": 1e6,
    "memory_limit_bytes": 4e8,
    "net_in_bytes": 1240.0,
    "net_out_bytes": None,
    "block_in_bytes": 0.0,
    "block_out_bytes": 0.0,
    "pids": 2.0,
}


@pytest.fixture
def folder(tmp_path):
    """A run of one sample and its parameters."""
    pq.write_table(pa.Table.from_pylist([ROW], SCHEMAS["stats"]), tmp_path / "stats.parquet")
    (tmp_path / "experiment.json").write_text(json.dumps({"batch": 300}))
    return tmp_path


def test_what_was_written_is_read_back(folder):
    """A value that was not measured comes back as NaN."""
    recording = read_recording(folder)
    row = recording.stats.iloc[0].to_dict()
    assert pd.isna(row.pop("net_out_bytes"))
    assert {k: v for k, v in ROW.items() if k != "net_out_bytes"} == row
    assert {"batch": 300} == recording.experiment


def test_a_table_of_parts_is_one_table(folder):
    """A recorder may write a folder of parts, so that a kill costs one part only."""
    parts = folder / "queues.parquet"
    parts.mkdir()
    row = dict.fromkeys(COLUMNS["queues"]) | {"time": ROW["time"], "queue": "TASK_QUEUE"}
    for number in range(2):
        part = pa.Table.from_pylist([row | {"ready": number}], SCHEMAS["queues"])
        pq.write_table(part, parts / f"{number}.parquet")
    assert [0.0, 1.0] == read_recording(folder).queues["ready"].tolist()


def test_a_missing_table_is_empty_and_noted(folder):
    """Its columns and dtypes are there, so that a chart of nothing is no exception."""
    recording = read_recording(folder)
    assert "queues.parquet is not there: not recorded" in recording.notes
    pd.testing.assert_frame_equal(empty_frame("queues"), recording.queues)


def test_a_table_without_its_end_is_left_out_and_noted(folder):
    """A Parquet file whose writer was killed has no footer."""
    path = folder / "queues.parquet"
    pq.write_table(SCHEMAS["queues"].empty_table(), path)
    path.write_bytes(path.read_bytes()[:-20])
    recording = read_recording(folder)
    assert any("queues.parquet is left out" in note for note in recording.notes)
    assert 1 == len(recording.stats)


def test_a_table_with_other_columns_is_refused(folder):
    """All that is missing is named at once."""
    pq.write_table(pa.table({"time": [1], "knot": ["a"]}), folder / "stats.parquet")
    with pytest.raises(IntegrityError, match="missing: node, service, container") as caught:
        read_recording(folder)
    assert "next: " in str(caught.value)


def test_a_table_with_other_types_is_refused(folder):
    """A word where a number belongs is no measurement."""
    table = pa.Table.from_pylist([ROW], SCHEMAS["stats"])
    at = table.column_names.index("pids")
    pq.write_table(table.set_column(at, "pids", [["two"]]), folder / "stats.parquet")
    with pytest.raises(IntegrityError, match="expected the columns of stats"):
        read_recording(folder)


def test_broken_parameters_are_noted_and_the_measurements_kept(folder):
    """The measurements do not depend on them."""
    (folder / "experiment.json").write_text("{")
    recording = read_recording(folder)
    assert {} == recording.experiment
    assert any("experiment.json is left out" in note for note in recording.notes)


@pytest.mark.parametrize("name", ["there", "nowhere"])
def test_a_folder_with_nothing_recorded_is_refused(tmp_path, name):
    """Also when it does not exist."""
    (tmp_path / "there").mkdir()
    with pytest.raises(NotFoundError, match="no table that can be read"):
        read_recording(tmp_path / name)


def test_a_recording_tells_its_rows_and_notes():
    """What a notebook shows of it."""
    shown = repr(Recording("runs/x/load", notes=("queues.parquet is not there",)))
    assert "runs/x/load: nothing recorded\n  queues.parquet is not there" == shown


def test_what_the_recorder_lost_is_noted(tmp_path):
    """A source that stopped says so wherever the recording is read."""
    empty_frame("queues").to_parquet(tmp_path / "queues.parquet", schema=SCHEMAS["queues"])
    sources = {
        "manager": {"samples": 90, "lost": 0, "trouble": ""},
        "queues": {"samples": 40, "lost": 50, "trouble": "expected queues\n  evidence"},
        "odd": 7,
    }
    (tmp_path / "experiment.json").write_text(json.dumps({"recorder": sources}))
    notes = [note for note in read_recording(tmp_path).notes if "lost" in note]
    assert ["queues: 50 samples were lost of 40 taken: expected queues"] == notes
