"""
The authors' published logs: their totals, and every way in which such a file may be bent.
"""

import csv
import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbook_lib.core.errors import IntegrityError, NotFoundError
from runbook_lib.load.recordings import stats_csv
from runbook_lib.load.recordings.counters import total_counters
from runbook_lib.load.recordings.schema import COLUMNS, SCHEMAS
from runbook_lib.load.recordings.source import read_published_logs
from tests.places import LOGS as DATA

pytestmark = pytest.mark.slow

HEADER = (
    "UPTIME,CONTAINER ID,NAME,CPU %,MEM USAGE,MEM LIMIT,MEM %, NET I,NET O,BLOCK I,BLOCK O,PIDS"
)


def row(clock, net=1000, container="a1", name="geo-diff-work_worker"):
    """A sample as the authors wrote it."""
    return f"{clock},{container},{name},7.50%,25658654,419430400,6.12%,{net},{net},0,0,2"


def lines(*rows):
    return "\n".join([HEADER, *rows]) + "\n"


def read(folder, text, name="manager.csv", **options):
    """The recording of a folder with one file of that text."""
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_published_logs(folder, **options)


def net(recording):
    return float(total_counters(recording.stats)["net_in_bytes"].sum())


def noted(recording, text):
    return [note for note in recording.notes if text in note]


def highest_counters(folder):
    """Each service's sent and received bytes, by the csv module and a dict, and nothing of ours."""
    highest = {}
    for path in folder.glob("*.csv.gz"):
        with gzip.open(path, "rt", newline="") as stream:
            for cells in csv.reader(stream):
                if cells[1] in ("CONTAINER ID", "--"):
                    continue
                key = (path.name, cells[1], cells[2].partition("_")[2])
                sent, received = highest.get(key, (0, 0))
                highest[key] = max(sent, int(cells[8])), max(received, int(cells[7]))
    sums = {}
    for (_, _, service), (sent, received) in highest.items():
        before = sums.get(service, (0, 0))
        sums[service] = before[0] + sent, before[1] + received
    return sums


@pytest.mark.parametrize(
    ("experiment", "sent_gb", "received_gb"),
    [("experiment_1", 23.87, 23.74), ("experiment_3", 18.32, 22.90)],
)
def test_the_totals_are_those_of_the_authors(experiment, sent_gb, received_gb):
    """What the workers sent and the updaters received, in units of 10^9 bytes."""
    totals = total_counters(read_published_logs(DATA / experiment).stats).set_index("service")
    assert sent_gb == round(totals.loc["worker", "net_out_bytes"] / 1e9, 2)
    assert received_gb == round(totals.loc["updater", "net_in_bytes"] / 1e9, 2)


@pytest.mark.parametrize("experiment", ["experiment_1", "experiment_3"])
@pytest.mark.parametrize("rows_at_most", [1_000_000, 500])
def test_the_totals_agree_with_a_direct_sum(experiment, rows_at_most):
    """Also of samples that were thinned out, to the byte."""
    recording = read_published_logs(DATA / experiment, rows_at_most=rows_at_most)
    totals = total_counters(recording.stats).set_index("service")
    for service, (sent, received) in highest_counters(DATA / experiment).items():
        assert sent == totals.loc[service, "net_out_bytes"]
        assert received == totals.loc[service, "net_in_bytes"]


def test_every_row_is_kept_or_its_loss_is_noted():
    """5,912 rows in the five files: two of `--`, one of zeros."""
    recording = read_published_logs(DATA / "experiment_1")
    assert 5909 == len(recording.stats)
    assert noted(recording, "worker2.csv.gz: 2 rows of containers that were going away")
    assert noted(recording, "manager.csv.gz: 1 rows of containers that no longer ran")


def test_the_tables_are_those_of_the_schema():
    """Columns in their order, and dtypes."""
    recording = read_published_logs(DATA / "experiment_3", date="2021-05-04")
    for table in COLUMNS:
        expected = SCHEMAS[table].empty_table().to_pandas().dtypes.to_dict()
        assert expected == getattr(recording, table).dtypes.to_dict()
    assert pd.Timestamp("2021-05-04 13:48:50", tz="UTC") == recording.stats["time"].min()
    assert {"manager", "worker-1", "worker-2", "worker-3", "worker-4"} == set(
        recording.stats["node"]
    )


def test_thinned_out_samples_are_few_and_said_to_be():
    """Means of the whole stay near, however wide the bins."""
    whole = read_published_logs(DATA / "experiment_3")
    thin = read_published_logs(DATA / "experiment_3", rows_at_most=1000)
    assert len(thin.stats) <= 1000
    assert noted(thin, "samples are kept in bins of")
    assert thin.experiment["bin_s"] >= 20
    pids = whole.stats.groupby("service")["pids"].max()
    pd.testing.assert_series_equal(pids, thin.stats.groupby("service")["pids"].max())


def test_containers_that_no_file_has_are_noted():
    """In experiment 3 the broker received a fifth more than the files' containers sent."""
    assert noted(read_published_logs(DATA / "experiment_3"), "21% came from others")
    assert not noted(read_published_logs(DATA / "experiment_1"), "came from others")


def test_the_brokers_balance_shows_containers_that_no_file_has(tmp_path):
    """A fifth of what the broker received, no container in the files has sent."""
    broker = row("10:00:00", 1000, container="b1", name="geo-diff-work_rabbitmq")
    recording = read(tmp_path, lines(broker, row("10:00:00", 800)))
    assert noted(recording, "20% came from others")


def test_without_a_broker_there_is_no_balance(tmp_path):
    """One end says nothing."""
    assert not noted(read(tmp_path, lines(row("10:00:00", 800))), "came from others")


@pytest.mark.parametrize(
    ("bend", "note"),
    [
        (lambda text: text, ""),
        (lambda text: text.replace("\n", "\r\n"), ""),
        (lambda text: "\ufeff" + text, ""),
        (lambda text: "\n" + text.replace("\n", "\n\n"), ""),
        (lambda text: text.rstrip("\n"), ""),
        (lambda text: text.replace(",", " , "), ""),
        (lambda text: text.replace("UPTIME", "uptime").replace("CPU %", " Cpu  %"), ""),
        (lambda text: text + row("10:00:40")[:30], "1 rows with another number of columns"),
        (lambda text: text + "10:00:4", "1 rows with another number of columns"),
        (lambda text: text + "\0" * 50, "1 rows with another number of columns"),
        (lambda text: text + HEADER + "\n", "1 header lines repeated"),
        (lambda text: text + row("10:0x:40") + "\n", "1 rows with a value that cannot be read"),
        (lambda text: text + row("10:00:40", net="12XB") + "\n", "1 rows with a value"),
        (lambda text: text + row("10:00:40", net="-5") + "\n", "1 rows with a value"),
        (lambda text: text + row("10:00:40", net="nan") + "\n", "1 rows with a value"),
        (lambda text: text + '"' + row("10:00:40") + "\n", "1 rows with a value"),
        (lambda text: text + "10:00:40,--,0,0B,0,0.00%,0B,0B,0B,0B,0\n", "1 rows of containers"),
        (lambda text: text + "10:00:40,--,0,0B,0,0,0.00%,0B,0B,0B,0B,0\n", "1 rows of containers"),
        (
            lambda text: text + "10:00:40,a1,geo-diff-work_worker,0%,0,0,0%,0,0,0,0,0\n",
            "1 rows of containers that no longer ran",
        ),
    ],
    ids=[
        "as published", "CRLF", "a byte order mark", "blank lines", "no last line end", "spaces",
        "other capitals", "a last line cut short", "a last line cut in its time", "a torn page",
        "the header again", "no time", "no unit of ours", "negative", "not a number", "a quote",
        "going away, a column short", "going away", "no longer running",
    ],
)  # fmt: skip
def test_a_bent_file_gives_the_same_total(tmp_path, bend, note):
    """And the note says what was left out."""
    text = lines(row("10:00:00", 10), row("10:00:10", 500), row("10:00:20", 900))
    recording = read(tmp_path, bend(text))
    assert (3, 900) == (len(recording.stats), net(recording))
    assert [bool(note)] == [bool(noted(recording, note or "rows"))]
    assert {"worker"} == set(recording.stats["service"])


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("1500", 1500), ("1500B", 1500), ("1.5kB", 1500), ("1.5KB", 1500), ("1.5 MB", 1.5e6),
        ("1.5GB", 1.5e9), ("1.5KiB", 1536), ("1.5MiB", 1.5 * 2**20), ("1.5GiB", 1.5 * 2**30),
        ("2TiB", 2 * 2**40), ("1.5e+06", 1.5e6),
    ],
)  # fmt: skip
def test_sizes_have_their_units(tmp_path, text, bytes_):
    """Docker's: kB is 1000 bytes, KiB 1024; plain numbers are bytes."""
    assert bytes_ == net(read(tmp_path, lines(row("10:00:00", 10), row("10:00:10", text))))


@pytest.mark.parametrize(
    "name",
    ["stack_worker", "stack_worker.1", "stack_worker.1.abcdef", "/stack_worker.1.abc", "worker"],
)
def test_names_of_tasks_are_names_of_services(tmp_path, name):
    """The stack's name and the task's number and id are not the service's."""
    recording = read(tmp_path, lines(row("10:00:00", name=name)))
    assert {"worker"} == set(recording.stats["service"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lines(row("10:00:00")).replace("NAME", "NOM"), "no column NAME"),
        (row("10:00:00") + "\n" + row("10:00:10"), "no column UPTIME"),
        (lines(row("10:00:00")).replace(",", ";", 1), "mixes commas, semicolons"),
        (lines(row("10:00:00")).replace("NET O", "NET I"), "NET I twice"),
        ("UPTIME,CONTAINER ID,NAME\n10:00:00,a1,worker\n", "no measure"),
        (lines(row("10:00:00") + ",", row("10:00:10") + ","), "2 of 2 are broken"),
        (lines(row("ten"), row("eleven"), row("10:00:10")), "2 of 3 are broken"),
        (lines(row("10:00:00")).encode() + b"\xff\xfe" + row("10:00:10").encode(), "invalid utf"),
    ],
)
def test_a_file_that_is_something_else_is_refused(tmp_path, text, message):
    """With what was expected and seen, the evidence, and the next step."""
    with pytest.raises(IntegrityError, match=message) as caught:
        read(tmp_path, text)
    assert "manager.csv" in str(caught.value)
    assert "\n  next: " in str(caught.value)


def test_a_column_that_is_missing_is_not_measured(tmp_path):
    """Its total is unknown, not zero; the others stand."""
    recording = read(tmp_path, lines(row("10:00:00")).replace("NET I", "SOMETHING"))
    totals = total_counters(recording.stats)
    assert np.isnan(totals["net_in_bytes"].iloc[0])
    assert 1000 == totals["net_out_bytes"].iloc[0]
    assert noted(recording, "manager.csv has no column NET I")


@pytest.mark.parametrize("text", ["", "\n\n", HEADER, HEADER + "\n"])
def test_an_empty_file_beside_others_is_noted(tmp_path, text):
    """What the other nodes say is read."""
    (tmp_path / "worker1.csv").write_text(text)
    recording = read(tmp_path, lines(row("10:00:00")))
    assert noted(recording, "worker1.csv is left out: no sample")
    assert 1000 == net(recording)


def test_a_missing_node_is_noted(tmp_path):
    """Between worker1 and worker3 there was a worker2."""
    (tmp_path / "worker1.csv").write_text(lines(row("10:00:00")))
    recording = read(tmp_path, lines(row("10:00:00")), "worker3.csv")
    assert noted(recording, "worker-2 has no file")
    assert noted(recording, "manager has no file")
    assert noted(recording, "no logs_admin_worker_*")


@pytest.mark.parametrize("names", [(), ("notes.txt",), ("manager.csv",)])
def test_a_folder_without_samples_is_refused(tmp_path, names):
    """The message lists what lies there."""
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(NotFoundError, match=names[0] if names else "nothing"):
        read_published_logs(tmp_path)
    with pytest.raises(NotFoundError, match="none holds a sample"):
        read_published_logs(tmp_path / "nowhere")


def test_a_gzip_file_cut_short_is_refused(tmp_path):
    """Not read as far as it goes: its totals would be too small."""
    data = gzip.compress(lines(*(row(f"10:00:{n:02}", n**5) for n in range(60))).encode())
    with pytest.raises(IntegrityError, match="ended before the end-of-stream"):
        read(tmp_path, data[:-30], "manager.csv.gz")


def test_times_go_on_over_midnight(tmp_path):
    """Also on a node whose file begins after it, and for as many days as there are."""
    (tmp_path / "worker1.csv").write_text(lines(row("00:00:05")))
    rows = [row("23:59:50"), row("00:00:10"), row("09:00:00"), row("20:59:00"), row("00:00:01")]
    recording = read(tmp_path, lines(*rows), date="2021-05-04")
    times = recording.stats.groupby("node")["time"]
    assert pd.Timestamp("2021-05-05 00:00:05Z") == times.min()["worker-1"]
    assert pd.Timestamp("2021-05-04 23:59:50Z") == times.min()["manager"]
    assert pd.Timestamp("2021-05-06 00:00:01Z") == times.max()["manager"]


def test_lines_mixed_up_by_seconds_are_sorted(tmp_path):
    """They are no restart, although the counter seems to fall."""
    rows = [row("10:00:00", 10), row("10:00:20", 900), row("10:00:10", 100), row("10:00:30", 950)]
    recording = read(tmp_path, lines(*rows))
    assert 950 == net(recording)
    assert [10, 100, 900, 950] == recording.stats["net_in_bytes"].tolist()
    assert noted(recording, "1 times that were a few seconds out of order")


@pytest.mark.parametrize("clock", ["09:10:10", "10:40:10", "21:00:10", "02:00:10"])
def test_one_time_astray_is_left_out(tmp_path, clock):
    """The clock reads otherwise before and after it."""
    rows = [row("10:00:00", 10), row(clock, 100), row("10:00:20", 900), row("10:00:30", 950)]
    recording = read(tmp_path, lines(*rows))
    assert ([10, 900, 950], 950) == (recording.stats["net_in_bytes"].tolist(), net(recording))
    assert noted(recording, "1 rows whose time stands alone")


def test_a_clock_that_goes_back_is_refused(tmp_path):
    """The same containers before and after: any guess would move measurements in time."""
    rows = [row("10:00:00"), row("10:00:10"), row("09:30:00"), row("09:30:10")]
    with pytest.raises(IntegrityError, match="go back from 10:00:10 to 09:30:00"):
        read(tmp_path, lines(*rows))


def test_an_earlier_hour_with_new_containers_is_another_day(tmp_path):
    """Two runs in one file, the second one in the morning after."""
    rows = [row("15:00:00"), row("15:00:10", 1500)]
    rows += [row(f"09:00:{s}", 700, container="b2") for s in (10, 20)]
    recording = read(tmp_path, lines(*rows), date="2021-05-04")
    assert 2200 == net(recording)
    assert pd.Timestamp("2021-05-05 09:00:20Z") == recording.stats["time"].max()
    assert noted(recording, "taken as another run, a day later")


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(1, 900)), min_size=1, max_size=80
)


@settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(steps=STEPS, start=st.integers(0, 86_399), in_blocks=st.booleans(), thin=st.booleans())
def test_however_the_same_samples_are_read_the_totals_stay(tmp_path, steps, start, in_blocks, thin):
    """From any start (so over any midnight), in one block or many, whole or thinned out."""
    counted, rows, now = {}, [], start
    for container, wait, more in steps:
        now += wait
        counted[container] = counted.get(container, 0) + more
        clock = f"{now // 3600 % 24:02}:{now // 60 % 60:02}:{now % 60:02}"
        rows.append(row(clock, counted[container], container=f"c{container}"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stats_csv, "BLOCK_BYTES", 400 if in_blocks else 8_000_000)
        recording = read(tmp_path, lines(*rows), rows_at_most=10 if thin else 1_000_000)
    assert sum(counted.values()) == net(recording)
    span = recording.stats["time"].max() - recording.stats["time"].min()
    assert thin or now - start - steps[0][1] == span.total_seconds()
