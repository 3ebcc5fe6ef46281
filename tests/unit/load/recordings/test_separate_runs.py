"""
The runs inside a recording, their even series, and where they were steady.
"""

import numpy as np
import pandas as pd
import pytest

from runbook_lib.load.recordings.counters import total_counters
from runbook_lib.load.recordings.schema import SCHEMAS, empty_frame
from runbook_lib.load.recordings.separate_runs import find_runs, total_by_run
from runbook_lib.load.recordings.series import even_series, find_steady_state
from runbook_lib.load.recordings.source import read_published_logs
from tests.places import LOGS as DATA


@pytest.fixture(scope="module")
def first():
    """Experiment 1: four runs in its files."""
    return read_published_logs(DATA / "experiment_1").stats


def worker(*phases, container="a", start="2026-01-15 10:00"):
    """A worker sampled every 10 s; each phase: so many samples, at so many bytes a second."""
    rates = np.concatenate([np.full(count, rate) for count, rate in phases])
    times = pd.date_range(start, periods=len(rates), freq="10s", tz="UTC")
    frame = pd.DataFrame(dict.fromkeys(SCHEMAS["stats"].names, 0.0), index=range(len(times)))
    counter = np.cumsum(np.r_[0, rates[:-1]]) * 10.0 + 500
    return frame.assign(
        time=times, node="worker-1", service="worker", container=container,
        cpu_percent=50.0, memory_bytes=1e6, net_in_bytes=counter, net_out_bytes=counter,
    )  # fmt: skip


def test_experiment_1_holds_four_runs_and_one_of_them_did_nothing(first):
    """Found by new containers; between 15:10 and 15:14 there was no traffic."""
    runs = find_runs(first)
    assert ["14:40", "14:56", "15:10", "15:17"] == runs["began"].dt.strftime("%H:%M").tolist()
    assert [False, False, True, False] == runs["busy_from"].isna().tolist()
    assert runs["begins_with"].iloc[1].startswith("new containers, after 502 s")


def test_the_runs_add_up_to_the_whole(first):
    """And the workers of the last one sent the authors' 20 GB."""
    by_run = total_by_run(first, find_runs(first))
    whole = total_counters(first).set_index("service")["net_out_bytes"]
    summed = by_run.groupby("service")["net_out_bytes"].sum()
    pd.testing.assert_series_equal(whole, summed, check_names=False)
    last = by_run[(by_run["run"] == 4) & (by_run["service"] == "worker")]
    assert 20.61 == round(last["net_out_bytes"].iloc[0] / 1e9, 2)


def test_idle_time_parts_two_runs_of_the_same_containers():
    """Two minutes without traffic do; twenty seconds do not."""
    stats = worker((30, 1e6), (2, 0), (30, 1e6), (12, 0), (30, 1e6))
    runs = find_runs(stats)
    assert ["the recording begins", "120 s without traffic"] == runs["begins_with"].tolist()
    assert [620.0, 290.0] == [round(s, -1) for s in runs["busy_s"]]
    totals = total_by_run(stats, runs)["net_out_bytes"].tolist()
    assert stats["net_out_bytes"].max() == sum(totals)


def test_a_pause_of_the_samples_parts_two_runs():
    """Nobody knows what happened in it."""
    stats = worker((90, 1e6))
    stats = stats.drop(index=range(30, 60))
    assert ["the recording begins", "310 s without a sample"] == find_runs(stats)[
        "begins_with"
    ].tolist()


def test_a_replaced_worker_is_no_new_run():
    """Its neighbour outlives it."""
    later = worker((30, 1e6), container="c", start="2026-01-15 10:05")
    stats = pd.concat([worker((60, 1e6)), worker((29, 1e6), container="b"), later])
    assert 1 == len(find_runs(stats))


def test_without_samples_there_are_no_runs():
    """A frame with no rows and all columns."""
    runs = find_runs(empty_frame("stats"))
    assert (0, "begins_with") == (len(runs), runs.columns[-1])


@pytest.mark.parametrize("width_s", [5, 10, 60])
def test_the_rates_of_even_bins_add_up_to_the_growth_of_the_counters(first, width_s):
    """Whatever the bins, although every node was sampled at times of its own."""
    series = even_series(first, width_s=width_s)
    sums = series.groupby("service")["net_out_bytes_per_s"].sum() * width_s
    ends = first.groupby(["service", "container"])["net_out_bytes"].agg(["first", "max"])
    grown = (ends["max"] - ends["first"]).groupby("service").sum()
    np.testing.assert_allclose(grown, sums, rtol=1e-9)


def test_the_last_bin_holds_the_totals(first):
    """With what each container had counted before its first sample."""
    last = even_series(first).groupby("service")[["net_in_bytes", "net_out_bytes"]].last()
    totals = total_counters(first).set_index("service")[["net_in_bytes", "net_out_bytes"]]
    np.testing.assert_allclose(totals, last, rtol=1e-12)


def test_rounding_to_three_digits_makes_no_bursts():
    """13 MB/s beyond 10 GB, where the counter moves by 0.1 GB or not at all; and a real pause."""
    stats = worker((300, 13e6), (20, 0), (100, 13e6))
    for name in ("net_in_bytes", "net_out_bytes"):
        magnitude = 10 ** (np.floor(np.log10(stats[name])) - 2)
        stats[name] = np.rint(stats[name] / magnitude) * magnitude
    rates_ = even_series(stats)["net_in_bytes_per_s"] / 1e6
    assert 13 * 0.8 < rates_[:290].min() and rates_[:290].max() < 13 * 1.2
    assert rates_[306:316].max() < 1


def test_even_bins_hold_levels_and_replicas():
    """Two workers at half a CPU: one CPU, two containers."""
    stats = pd.concat([worker((30, 1e6)), worker((30, 1e6), container="b")])
    middle = even_series(stats).iloc[10]
    assert (2.0, 100.0, 2e6, 2e6) == tuple(
        middle[["containers", "cpu_percent", "memory_bytes", "net_out_bytes_per_s"]]
    )


def rates(*phases, noise=0.0):
    chance = np.random.default_rng(7)
    values = np.concatenate([np.full(count, float(level)) for count, level in phases])
    values += chance.normal(0, noise, len(values))
    return pd.Series(values, pd.date_range("2026-01-15", periods=len(values), freq="10s"))


def test_warm_up_and_end_are_cut_off():
    """To within a batch of five readings."""
    steady = find_steady_state(rates((20, 10), (100, 100), (15, 30), noise=3))
    assert 200 == pytest.approx((steady.began - pd.Timestamp("2026-01-15")).total_seconds(), abs=50)
    assert 1000 == pytest.approx(steady.duration_s, abs=100)
    assert 100 == pytest.approx(steady.mean, abs=4 * steady.standard_error)


def test_a_run_that_doubles_is_steady_after_it(first):
    """In run 4 of experiment 1 a second dealer came at 15:32:35, and throughput doubled."""
    series = even_series(first[first["time"] >= "2021-01-01 15:17Z"])
    sent = series[series["service"] == "worker"].set_index("time")["net_out_bytes_per_s"]
    steady = find_steady_state(sent)
    assert pd.Timestamp("2021-01-01 15:32:35Z") < steady.began < pd.Timestamp("2021-01-01 15:35Z")
    assert 12.6 == round(steady.mean / 1e6, 1)


@pytest.mark.parametrize(
    "series",
    [
        rates((30, 100)),
        pd.Series(np.linspace(0, 100, 200), rates((200, 1)).index),
        rates((100, 100)).mask(lambda s: s.index == s.index[50]),
    ],
    ids=["too short", "never steady", "with a hole"],
)
def test_where_nothing_is_steady_nothing_is_said(series):
    """No mean is better than a wrong one."""
    assert find_steady_state(series) is None


def test_the_interval_of_the_mean_covers_the_truth_as_often_as_it_claims():
    """About 95 % within two standard errors, over 200 runs with a warm-up."""
    chance, covered = np.random.default_rng(11), 0
    for _ in range(200):
        values = np.r_[np.linspace(0, 100, 20), np.full(130, 100.0)] + chance.normal(0, 10, 150)
        steady = find_steady_state(
            pd.Series(values, pd.date_range("2026-01-15", periods=150, freq="10s"))
        )
        covered += abs(steady.mean - 100) < 2 * steady.standard_error
    assert 0.85 <= covered / 200 <= 1.0
