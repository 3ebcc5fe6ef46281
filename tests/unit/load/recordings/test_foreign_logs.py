"""
Logs of docker stats in the forms that other people's tools and shells write: read right, or refused
in three parts.
"""

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest

from runbook_lib.core.errors import IntegrityError
from runbook_lib.load.recordings.clocks import names_its_zone, seconds_of
from runbook_lib.load.recordings.counters import total_counters
from runbook_lib.load.recordings.names import missing_roles, node_name, service_names
from runbook_lib.load.recordings.separate_runs import find_runs, total_by_run
from runbook_lib.load.recordings.series import even_series
from runbook_lib.load.recordings.source import read_published_logs
from runbook_lib.load.recordings.stats_layout import number

HEADER = (
    "UPTIME,CONTAINER ID,NAME,CPU %,MEM USAGE,MEM LIMIT,MEM %, NET I,NET O,BLOCK I,BLOCK O,PIDS"
)
STEPS = range(0, 60, 10)


def row(clock, net="9000", *, cpu="50.00%", limit="400000000", name="shop_worker", container="c1"):
    return f"{clock},{container},{name},{cpu},20971520,{limit},5.00%,{net},4000,0,0,3"


def text(*rows, header=HEADER):
    return "\n".join([header, *rows]) + "\n"


def read(folder, data, name="manager.csv"):
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_published_logs(folder)


def total(recording, column="net_in_bytes"):
    return float(total_counters(recording.stats)[column].sum())


def noted(recording, words):
    return [note for note in recording.notes if words in note]


DOCKERS = "CONTAINER ID,NAME,CPU %,MEM USAGE / LIMIT,MEM %,NET I/O,BLOCK I/O,PIDS"
CELLS = "c1,shop_worker.1.x,50.00%,20MiB / 400MiB,5.00%,9kB / 4kB,0B / 0B,3"
ISO = "2024-03-05T10:00:00Z"
FORMS = {
    "docker's own names": f"TIME,{DOCKERS}\n{ISO},{CELLS}\n",
    "compose and semicolons": f"TIME,{DOCKERS}\n{ISO},{CELLS}\n".replace(",", ";"),
    "tabs": f"TIMESTAMP,{DOCKERS}\n{ISO},{CELLS}\n".replace(",", "\t"),
    "a table": f"TIME,{DOCKERS}\n{ISO},{CELLS}\n".replace(",", "    "),
    "quotes": "\n".join(
        ",".join(f'"{cell}"' for cell in line.split(","))
        for line in (f"TIME,{DOCKERS}", f"{ISO},{CELLS}")
    ),
    "decimal commas": f"TIME,{DOCKERS}\n{ISO},{CELLS}\n".replace(",", ";").replace(".00", ",00"),
    "quoted decimal commas": text(row(ISO, cpu='"50,00%"')),
    "a screen": f"\x1b[2J\x1b[HTIME,{DOCKERS}\x1b[K\n{ISO},{CELLS}\x1b[K\n",
    "UTF-16 of PowerShell": text(row(ISO)).encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + text(row(ISO)).encode("utf-16-be"),
    "a shell loop, no id": f"ts,name,cpu_perc,mem_used,mem_limit,net_io\n"
    f"{ISO},shop_worker.1.x,50.00%,20MiB,400MiB,9kB / 4kB\n",
    "a shell loop, {{.Container}}": f"time,container,cpu_perc,mem_usage,net_io\n"
    f"{ISO},shop_worker.1.x,50.00%,20MiB / 400MiB,9kB / 4kB\n",
    "a Windows node": "TIME,CONTAINER ID,NAME,CPU %,PRIV WORKING SET,NET I/O,BLOCK I/O\n"
    f"{ISO},c1,shop_worker,50.00%,20MiB,9kB / 4kB,0B / 0B\n",
    "the time in docker's own header": f"{ISO},CONTAINER,NAME,CPU %,MEM USAGE / LIMIT,NET I/O\n"
    f"{ISO},c1,shop_worker.1.x,50.00%,20MiB / 400MiB,9kB / 4kB\n"
    "2024-03-05T10:00:10Z,CONTAINER,NAME,CPU %,MEM USAGE / LIMIT,NET I/O\n",
    "JSON with a time": json.dumps(
        {"time": 1709632800.0, "ID": "c1", "Container": "c1", "Name": "shop_worker.1.x",
         "CPUPerc": "50.00%", "MemUsage": "20MiB / 400MiB", "NetIO": "9kB / 4kB", "PIDs": "3"}
    ),
    "JSON after lines of date": "2024-03-05T11:00:00+01:00\n"
    '{"ID": "c1", "Name": "shop_worker.1.x", "CPUPerc": "50.00%", "MemUsage": "20MiB / 400MiB",'
    ' "NetIO": "9kB / 4kB"}\n',
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_gives_the_same_sample(tmp_path, form):
    """One sample, of which each value is known."""
    recording = read(tmp_path, form)
    (only,) = recording.stats.to_dict("records")
    assert ("worker", 50.0, 20 * 2**20) == (
        only["service"],
        only["cpu_percent"],
        only["memory_bytes"],
    )
    assert (9000, 4000) == (only["net_in_bytes"], only["net_out_bytes"])
    assert pd.Timestamp(ISO) == only["time"]


@pytest.mark.parametrize(
    ("clock", "time"),
    [
        ("2024-03-05T10:00:00+02:00", "2024-03-05 08:00"),
        ("2024-03-05 10:00:00.5", "2024-03-05 10:00:00.5"),
        ("1709632800", "2024-03-05 10:00"),
        ("1709632800000", "2024-03-05 10:00"),
        ("1709632800000000000", "2024-03-05 10:00"),
        ("1709632800.25", "2024-03-05 10:00:00.25"),
        ("Tue Mar  5 10:00:00 UTC 2024", "2024-03-05 10:00"),
        ("Tue 05 Mar 2024 10:00:00 PM UTC", "2024-03-05 22:00"),
        ("05.03.2024 10:00:00", "2024-03-05 10:00"),
        ("2024-03-05 10:00:00 +0100 CET", "2024-03-05 09:00"),
        ("10:00:00 PM", "1970-01-01 22:00"),
        ("12:00:00 a.m.", "1970-01-01 00:00"),
        ("00:30:00+02:00", "1970-01-01 22:30"),
        ("9:05:01", "1970-01-01 09:05:01"),
    ],
)
def test_a_time_is_read_with_its_zone(clock, time):
    """A time without a date stands on the first day here."""
    assert pd.Timestamp(time).timestamp() == pytest.approx(seconds_of(clock), abs=1e-6)


@pytest.mark.parametrize(
    "clock",
    ["", "ten", "25:00:00", "13:00:00 PM", "10:00:00 CET", "05/03/2024 10:00:00", "1709632",
     "2024-02-30 10:00:00", "Tue Mar  5 10:00:00 CET 2024", "9" * 500],
)  # fmt: skip
def test_a_time_that_may_mean_two_is_not_guessed(clock):
    assert np.isnan(seconds_of(clock))


def test_a_dated_log_begins_on_its_day_and_says_what_zone_is_assumed(tmp_path):
    """Two runs a day apart stay a day apart."""
    rows = [row(f"2024-03-0{day} 10:00:{s:02}") for day in (5, 6) for s in STEPS]
    recording = read(tmp_path, text(*rows))
    assert pd.Timestamp("2024-03-05 10:00Z") == recording.stats["time"].min()
    assert pd.Timestamp("2024-03-06 10:00:50Z") == recording.stats["time"].max()
    assert noted(recording, "no zone: taken as UTC")
    assert not noted(recording, "carry no date")
    assert names_its_zone(ISO)
    assert 2 == len(find_runs(recording.stats))


def test_dates_years_apart_take_no_memory(tmp_path):
    """A clock that was never set: 63 million empty bins."""
    rows = [row(f"{year}-03-05 10:00:{s:02}") for year in (2004, 2024) for s in STEPS]
    recording = read(tmp_path, text(*rows))
    assert 9000 == total(recording)
    with pytest.raises(IntegrityError, match="expected at most 116 days in one recording"):
        even_series(recording.stats)


def test_dates_that_go_back_are_refused(tmp_path):
    rows = [row("2024-03-06 10:00:00"), row("2024-03-05 10:00:00")]
    with pytest.raises(IntegrityError, match="go back from 2024-03-06 10:00:00 to 2024-03-05"):
        read(tmp_path, text(*rows))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1 250.00%", 1250), ("1'250.00%", 1250), ("1\u00a0250,5%", 1250.5), ("1,250.00%", 1250),
        ("1.250,5", 1250.5), ("50,5%", 50.5), ("1.2\u00a0kB", 1200),
        ("1.5\u202fMiB", 1.5 * 2**20),
        ("1e+03kB", 1e6), ("1,250,000", 1.25e6), ("1.250.000", 1.25e6), ("8EiB", 2.0**63),
        ("1,250", np.nan), ("10 20", np.nan), ("5 apples", np.nan), ("-1", np.nan),
    ],
)  # fmt: skip
def test_a_number_of_another_locale_is_read_or_not_guessed(written, value):
    np.testing.assert_equal(number(written), value)


@pytest.mark.parametrize("cpu", ["--", "NaN%", "nan", "+Inf%", "N/A", ""])
def test_cpu_that_was_not_measured_is_missing_and_the_counters_count(tmp_path, cpu):
    """Not zero: a mean over the others stands."""
    rows = [row(f"10:00:{s:02}", str(1000 + s), cpu=cpu if s % 20 else "50%") for s in STEPS]
    recording = read(tmp_path, text(*rows, row("10:01:00", "12000", cpu=cpu)))
    assert 12000 == total(recording)
    assert [50.0] * 3 == recording.stats["cpu_percent"].dropna().tolist()
    assert 50.0 == pytest.approx(even_series(recording.stats)["cpu_percent"].iloc[1])


@pytest.mark.parametrize("limit", ["0", "0B", "9223372036854771712", "8EiB"])
def test_no_memory_limit_is_none(tmp_path, limit):
    recording = read(tmp_path, text(row("10:00:00", limit=limit)))
    assert recording.stats["memory_limit_bytes"].isna().all()
    assert 9000 == total(recording)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (text(row("10:00:00")).replace(",", ";", 1), "mixes commas, semicolons or tabs"),
        (text(*(row(f"10:00:{s:02}", cpu="50,00%") for s in STEPS)), "6 of 6 are broken"),
        (text(row("05/03/2024 10:00:00")), r"manager.csv:2: 05/03/2024"),
        (f"{DOCKERS}\n{CELLS}\n", "no column UPTIME"),
        ('{"Name": "shop_worker", "CPUPerc": "50.00%"}\n', r"manager.csv:1: [\s\S]*jq -c"),
        ("UPTIME,ID,NAME,CPU %,NET IO,CPU TIME,AVG CPU %\n10:00:00,c1,w,5%,1B / 2B,1s,4%\n",
         "podman's"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_right_is_refused_with_its_line(tmp_path, data, words):
    with pytest.raises(IntegrityError, match=words) as caught:
        read(tmp_path, data)
    assert "expected rows of docker stats in manager.csv" in str(caught.value)
    assert "manager.csv:" in str(caught.value)
    assert "\n  next: " in str(caught.value)


def test_a_container_that_was_not_measured_keeps_its_row(tmp_path):
    """Docker prints N/A and --; what the others say stands, and only missing columns are noted."""
    dead = {"time": "1709632800", "ID": "a", "Name": "x", "CPUPerc": "--",
            "MemUsage": "N/A / 1EiB", "NetIO": "--", "BlockIO": "--", "PIDs": "--"}  # fmt: skip
    live = dead | {"ID": "b", "CPUPerc": "1.25%", "MemUsage": "683MiB / 1.913GiB",
                   "NetIO": "450kB / 234kB", "BlockIO": "583MB / 30.8MB", "PIDs": "37"}  # fmt: skip
    recording = read(tmp_path, "\n".join(map(json.dumps, (dead, live))) + "\nnot a reading\n")
    measures = ["cpu_percent", "memory_bytes", "memory_limit_bytes", "net_in_bytes"]
    first, second = recording.stats[measures].to_numpy().tolist()
    np.testing.assert_equal(first, [np.nan] * 4)
    assert [1.25, 683 * 2**20, pytest.approx(1.913 * 2**30), 450_000] == second
    assert noted(recording, "1 rows with another number of columns")
    assert not noted(recording, "has no column")


def test_a_column_with_its_unit_in_the_header_is_not_taken_for_bytes(tmp_path):
    header = "Timestamp,Container ID,Name,CPU %,Mem Usage (MiB),Net I/O Received (KB)"
    recording = read(tmp_path, f"{header}\n2024-03-05 10:00:00,c1,stats,1.99%,79.06,6340\n")
    assert recording.stats[["memory_bytes", "net_in_bytes"]].isna().all(axis=None)
    assert noted(recording, "has no column MEM USAGE: not measured there")


def test_a_pair_that_is_no_pair_is_not_taken_for_bytes_received(tmp_path):
    """NET I/O with one number in it may be either."""
    recording = read(tmp_path, "TIME,ID,NAME,CPU %,NET I/O\n10:00:00,c1,w,5%,9kB / 4kB\n"
                     "10:00:10,c1,w,5%,12kB\n")  # fmt: skip
    assert (1, 9000) == (len(recording.stats), total(recording))
    assert noted(recording, "1 rows with a value that cannot be read")


@pytest.mark.parametrize(
    ("containers", "services"),
    [
        (["shop-worker-1", "shop-worker-2"], {"worker"}),
        (["geo-diff-admin-worker-1", "geo-diff-updater-1"], {"admin-worker", "updater"}),
        (["my_shop-worker-1", "my_shop-db-1"], {"worker", "db"}),
        (["shop_worker_1", "shop_worker_12"], {"worker"}),
        (["/stack_worker.1.abc", "stack_node-exporter-1.2.abc"], {"worker", "node-exporter-1"}),
        (["worker", "worker-1"], {"worker", "worker-1"}),
        (
            ["peer0.org1.example.com", "peer0.org2.example.com"],
            {"peer0.org1.example.com", "peer0.org2.example.com"},
        ),
        ([f"s_agent.{'a1b2c' * 5}.{'d3e4f' * 5}"], {"agent"}),
    ],
)
def test_containers_are_of_their_service(containers, services):
    """Of Swarm, and of both versions of Compose."""
    assert services == set(service_names(pl.Series(containers)))


@pytest.mark.parametrize(
    ("file", "node"),
    [
        ("worker01.csv", "worker-1"), ("worker-2.csv.gz", "worker-2"), ("Worker_3.csv", "worker-3"),
        ("admin-web1.csv", "admin-web-1"), ("manager.csv", "manager"),
        ("ip-172-31-5-40.ec2.internal.csv", "ip-172-31-5-40"), ("i-0abc12.csv", "i-0abc12"),
    ],
)  # fmt: skip
def test_a_file_is_of_its_node(file, node):
    assert node == node_name(file)


def test_only_roles_are_counted_as_missing():
    assert [] == missing_roles(["ip-172-31-5-40", "ip-172-31-5-41"])
    assert ["worker-1", "manager"] == missing_roles(["worker-2"])


def test_a_renamed_container_is_one(tmp_path):
    """Its counters go on: what it sent is counted once, in every sum."""
    rows = [row(f"10:00:{s:02}", str(500 + s), name="shop_old") for s in STEPS]
    rows += [row(f"10:01:{s:02}", str(600 + s), name="shop_new") for s in STEPS]
    recording = read(tmp_path, text(*rows))
    sums = total_counters(recording.stats)
    assert (1, 650) == (sums["containers"].sum(), total(recording))
    runs = find_runs(recording.stats)
    assert 650 == total_by_run(recording.stats, runs)["net_in_bytes"].sum()
    assert noted(recording, "was renamed: old, new; counted as old")


def test_a_renamed_container_of_our_own_recording_is_one(tmp_path):
    rows = [row(f"10:00:{s:02}", str(500 + s)) for s in STEPS]
    stats = read(tmp_path, text(*rows)).stats
    stats["service"] = ["old"] * 3 + ["new"] * 3
    assert 550 == total_by_run(stats, find_runs(stats))["net_in_bytes"].sum()


def test_the_same_rows_in_two_files_count_once(tmp_path):
    """A copy, or an older log whose end the newer one repeats."""
    rows = [row(f"10:00:{s:02}", str(500 + s)) for s in STEPS]
    (tmp_path / "manager-copy.csv").write_text(text(*rows[:4]))
    recording = read(tmp_path, text(*rows))
    assert (6, 550) == (len(recording.stats), total(recording))
    assert noted(recording, "4 rows are the same in more than one file")


def test_clocks_that_do_not_meet_are_noted(tmp_path):
    """One host logs its local time."""
    (tmp_path / "worker1.csv").write_text(
        text(*(row(f"13:00:{s:02}", container="c2") for s in STEPS))
    )
    recording = read(tmp_path, text(*(row(f"10:00:{s:02}") for s in STEPS)))
    assert noted(recording, "worker-1 was sampled from 13:00:00 to 13:00:50, when no other")


STATE = "[+] Workers State - Work Load: {load} - {replicas} - Msg count: {count}"


def scaler(*entries, hour="10"):
    lines = []
    for n, (load, replicas, count) in enumerate(entries):
        lines += [STATE.format(load=load, replicas=replicas, count=count),
                  f" [#] {hour}:00:{n:02}.1 {load} GREY"]  # fmt: skip
    return "\n".join(lines) + "\n"


def decided(folder, data, name="logs_admin_worker_n4_q15"):
    (folder / name).write_text(data)
    return read(folder, text(row("10:00:00")))


def test_zeros_of_an_early_log_are_empty_queues(tmp_path):
    """Whole counts are messages; among rates a bare 0 is a rate."""
    early = [("0.05", "Active replicas: 4", count) for count in (3, 0, 0)]
    recording = decided(tmp_path, scaler(*early))
    assert [3, 0, 0] == recording.queues["ready"].tolist()
    assert recording.autoscaler["published_per_s"].isna().all()
    recording = decided(
        tmp_path, scaler(("0.5", "Replicas: 4/4", "33.0"), ("0.0", "Replicas: 4/4", "0"))
    )
    assert [33, 0] == recording.autoscaler["published_per_s"].tolist()


def test_a_rate_may_have_an_exponent_and_an_hour_one_digit(tmp_path):
    recording = decided(tmp_path, scaler(("0.00", "Replicas: 4/4", "5e-05"), hour="9"))
    assert [5e-05] == recording.autoscaler["published_per_s"].tolist()
    assert recording.queues.empty
    assert 9 == recording.autoscaler["time"].iloc[0].hour


def test_decisions_without_a_service_are_left_out_once_each(tmp_path):
    gone = [("-0.00", "Active replicas: -1", 0)] * 2
    recording = decided(tmp_path, scaler(("0.5", "Active replicas: 4", 3), *gone))
    assert 1 == len(recording.autoscaler)
    assert noted(recording, "2 decisions while the service was gone")
    assert not noted(recording, "cut short")


def test_an_empty_log_says_nothing_of_the_parameters(tmp_path):
    (tmp_path / "logs_admin_worker_n9_q1").touch()
    recording = decided(tmp_path, scaler(("0.5", "Replicas: 4/4", "33.0")))
    assert (15, 4) == (recording.experiment["qty_task"], recording.experiment["min_scale"])
    assert not noted(recording, "disagree")


def test_the_same_log_twice_counts_once(tmp_path):
    log = scaler(*[("0.5", "Replicas: 4/4", "33.0")] * 5)
    (tmp_path / "logs_admin_worker_n4_q15_copy").write_text(log)
    recording = decided(tmp_path, log)
    assert 5 == len(recording.autoscaler)
    assert noted(recording, "5 decisions stand in more than one log")
