"""
Logs that somebody else wrote, or that a killed writer left: a table, or an error in three parts.
"""

import gzip
import tracemalloc
from datetime import UTC, datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.availability.drills.audit import parse_listing, parse_trail, reconcile
from runbook_lib.availability.drills.evidence import parse_silent_workers
from runbook_lib.core.errors import RunbookError
from runbook_lib.load.recordings.schema import COLUMNS, SCHEMAS, read_recording
from runbook_lib.load.recordings.source import read_published_logs

pytestmark = pytest.mark.hostile

HEADER = (
    "UPTIME,CONTAINER ID,NAME,CPU %,MEM USAGE,MEM LIMIT,MEM %, NET I,NET O,BLOCK I,BLOCK O,PIDS\n"
)
STATS = [
    HEADER,
    "13:49:21,a1,geo-diff-work_worker,7.5%,25658654,419430400,6.12%,100,200,0,0,2\n",
    "13:49:22,a1,geo-diff-work_worker,1e999%,1.5GiB,--,6%,1e400kB,-1,nan,inf,2\n",
    "13:49:23,--,--,--,-- / --,--,--,--,--,--,--,--\n",
    "25:61:99,a1,x,,,,,,,,,\n",
    '2024-03-05T10:00:00+02:00,a1,x-worker-1,NaN%,1 250,0,6%,"1,5kB",200,0,0,2\n',
    "99999999999999999999,a1,x,5%,1,2,3%,4,5,6,7,8\n",
    "TIME;ID;NAME;NET I/O\n10:00:00 PM;a1;x;1,5kB / 2kB\n10:00:01;a1;x;7\n",
    '{"time": 1709632800.5, "ID": "a1", "Name": ["x"], "CPUPerc": null, "NetIO": "1kB / 2kB"}\n',
    '{"ID": {}, "Name": "x", "MemUsage": 7}\n',
    "2024-03-05T10:00:00Z\n",
]
SCALER = [
    "[+] Workers State - Work Load: 0.73 - Active replicas: 8 - Msg count: 88.2\n",
    f"[+] Workers State - Work Load: {'9' * 400} - Replicas: {'9' * 400}/12 - Msg count: -1\n",
    "[#] 13:49:21.425682 0.73 RED\n",
    f"[#] 23:59:59.999999 {'9' * 400} RED\n",
    "Scaling up geo-diff-work_worker from 8 to 10 replicas\n",
    f"Scaling up x from 8 to {'9' * 400} replicas\n",
]
AUDIT = [
    '{"audit": "published", "time": "2026-01-01T00:00:01.5+00:00", "tile": "d/1/2/3"}\n',
    '{"audit": "stored", "time": "2026-01-01T00:00:02+00:00", "tile": "d/1/2/3", "layer": "DESERT",'
    ' "worker": "t1", "is_new": true, "task_redelivered": false, "result_redelivered": false}\n',
    '{"audit": "stored", "time": "2026-01-01T00:00:02+00:00"}\n',
    '{"audit": [], "time": 7, "tile": {}}\n',
    '{"audit": "published", "time": "2026-13-45T00:00:01", "tile": null}\n',
    '{"audit": "published", "ti',
    "[1, 2]\n",
    "9" * 5000 + "\n",
    "[" * 3000 + "\n",
]
SILENT = [
    "2026-01-01T00:00:01.123456789Z x Worker abc silent for 5 s: killed\n",
    "yesterday x Worker abc silent for 5 s: killed\n",
    "9999999999999-01-01T00:00:00Z x Worker abc silent for 5 s: killed\n",
]
SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def mixed(samples):
    """
    A log of good and bad lines with bytes changed, cut or repeated anywhere.
    """
    noise = st.binary(max_size=20) | st.sampled_from(
        [b"\x1b[31m", b"\x00", b"\xff\xfe", b",", b"\n"]
    )
    part = st.sampled_from([s.encode() for s in samples]) | noise
    whole = st.lists(part, max_size=12).map(b"".join)
    return st.builds(lambda data, end: data[: len(data) - end], whole, st.integers(0, 10))


def table_or_error(read, *arguments):
    try:
        return read(*arguments)
    except RunbookError as error:
        assert len(str(error)) < 10_000
        return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("logs")


def written(folder, name, data, zipped):
    for old in folder.iterdir():
        old.unlink()
    (folder / name).write_bytes(gzip.compress(data)[: len(data) + 15] if zipped else data)
    return folder


@given(mixed(STATS), st.booleans(), st.booleans())
def test_rows_of_docker_stats(folder, data, with_header, zipped):
    data = HEADER.encode() * with_header + data
    name = "manager.csv.gz" if zipped else "manager.csv"
    recording = table_or_error(read_published_logs, written(folder, name, data, zipped))
    assert recording is None or list(recording.stats.columns) == list(COLUMNS["stats"])


@given(mixed(SCALER), st.booleans())
def test_lines_of_the_autoscaler(folder, data, zipped):
    name = "logs_admin_worker_n8-12_b600.gz" if zipped else "logs_admin_worker_n8"
    recording = table_or_error(read_published_logs, written(folder, name, data, zipped))
    assert recording is None or list(recording.autoscaler.columns) == list(COLUMNS["autoscaler"])


@given(st.sampled_from(sorted(COLUMNS)), st.data())
def test_a_recorded_table_and_its_experiment(folder, table, data):
    written(folder, "x", b"", zipped=False)
    path = folder / f"{table}.parquet"
    row = {name: [None] for name in COLUMNS[table]}
    frame = pd.DataFrame(row).astype(
        {n: "float64" for n, (k, _) in COLUMNS[table].items() if str(k) == "double"}
    )
    frame.to_parquet(path, schema=SCHEMAS[table])
    good = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 8))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(good[: data.draw(st.integers(0, len(good)))])
    (folder / "experiment.json").write_bytes(
        data.draw(
            st.sampled_from([b"{}", b"[]", b"\xff", b"7", b"[" * 9000, b'{"a":', b"9" * 9000])
        )
    )
    recording = table_or_error(read_recording, folder)
    assert recording is None or isinstance(recording.experiment, dict)


@given(mixed(AUDIT))
def test_the_audit_trail_of_a_killed_service(data):
    trail = table_or_error(parse_trail, data.decode(errors="replace"), SINCE)
    if trail is not None:
        reconcile(trail, parse_listing("DESERT/d/1/2/3.png\n\x00\nRAW"))


@given(mixed(SILENT))
def test_what_admin_worker_logged(data):
    killed = table_or_error(parse_silent_workers, data.decode(errors="replace"))
    assert killed is None or all(isinstance(when, datetime) for when in killed.values())


def test_a_torn_entry_of_the_trail_is_left_out_and_the_others_count():
    """A drill kills the services that write it: the last line may be half."""
    trail = parse_trail(AUDIT[0] + AUDIT[1] + AUDIT[5], SINCE)
    assert (1, 1) == (len(trail.published), len(trail.stored))


@pytest.mark.parametrize(
    ("name", "start"), [("manager.csv.gz", HEADER.encode()), ("logs_admin_worker_n8.gz", b"")]
)
def test_a_line_without_an_end_takes_bounded_memory(tmp_path, name, start):
    """200 MB of one line are 200 kB zipped."""
    with gzip.open(tmp_path / name, "wb", compresslevel=1) as file:
        file.write(start)
        for _ in range(200):
            file.write(b"9" * 1_000_000)
    tracemalloc.start()
    with pytest.raises(RunbookError, match=r"admin_worker|manager"):
        read_published_logs(tmp_path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 60_000_000
