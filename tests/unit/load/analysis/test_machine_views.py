"""
Charts of the published experiments: they say what the logs say, and can be drawn.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from runbook_lib.load.analysis.machine_views import (
    MEASURES,
    plot_load,
    plot_measure,
    plot_queues,
    plot_replicas,
    show_measure,
    show_network,
    side_by_side,
)
from runbook_lib.load.recordings.schema import Recording
from runbook_lib.load.recordings.source import read_published_logs
from tests.fakes.samples import decisions, samples
from tests.places import LOGS as DATA

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def third():
    """Experiment 3: autoscaled, 8 to 12 workers."""
    return read_published_logs(DATA / "experiment_3")


def picture(chart, folder):
    chart.save(folder / "chart.png")
    return (folder / "chart.png").stat().st_size


@pytest.mark.parametrize("measure", list(MEASURES))
def test_every_measure_is_drawn_with_its_finding_and_units(third, measure, tmp_path):
    """By service and by node."""
    for by in ("service", "node"):
        chart = plot_measure(third.stats, measure, by=by)
        assert "leads in" in chart.title
        assert MEASURES[measure][1] == chart.to_dict()["encoding"]["y"]["title"]
        assert picture(chart, tmp_path) > 10_000


def test_the_title_of_the_totals_is_the_total(third):
    """The broker received 25.5 GB in experiment 3."""
    title = plot_measure(third.stats, "net_in_bytes").title
    assert "rabbitmq-server leads in network in, total: 25.5 GB" == title


def test_the_load_is_drawn_over_its_lights(third, tmp_path):
    """With the share of time in each."""
    chart = plot_load(third.autoscaler)
    title = "The load was GREEN 62%, GREY 28%, YELLOW 10%, RED under 1%"
    assert f"{title} (2,146 decisions, 13:49 to 14:26)" == chart.title
    assert picture(chart, tmp_path) > 10_000


def test_replicas_requested_and_sampled_are_told_apart(third, tmp_path):
    """The files hold fewer workers than the autoscaler asked for."""
    chart = plot_replicas(third)
    assert "Workers on average, 13:49 to 14:17: 11.8 requested" in chart.title
    assert "9.4 in the samples" in chart.title
    assert picture(chart, tmp_path) > 10_000


def test_queues_have_depths_and_rates(tmp_path):
    """Two minutes in which 80 tasks a second go in and 60 come out."""
    seconds = np.arange(0, 120, 5)
    times = pd.Timestamp("2026-01-15", tz="UTC") + pd.to_timedelta(seconds, unit="s")
    queues = pd.DataFrame(
        {
            "time": times, "queue": "TASK_QUEUE", "ready": 20.0 * seconds,
            "published": 80.0 * seconds, "delivered": 60.0 * seconds,
            "acknowledged": 60.0 * seconds,
        }
    )  # fmt: skip
    chart = plot_queues(queues)
    depth, flow = (part.title for part in chart.vconcat)
    assert "At most 2,300 messages waited, in TASK_QUEUE" == depth
    assert "TASK_QUEUE had up to 80 messages a second" == flow
    assert picture(chart, tmp_path) > 10_000


def test_means_are_compared_over_the_time_that_both_cover():
    """Twelve while there were samples, then an hour of four: not seven against twelve."""
    stats = [samples("worker-1", "worker", until_s=600, number=n) for n in range(12)]
    decided = decisions([12.0] * 120 + [4.0] * 720)
    found = Recording("x", stats=pd.concat(stats), autoscaler=decided)
    title = plot_replicas(found).title
    assert title.endswith("12.0 requested, 12.0 counted, 12.0 in the samples")

    later = replace(found, autoscaler=decisions([4.0] * 60, since_s=7200))
    assert "their means cannot be compared" in plot_replicas(later).title


def test_five_queues_over_hours_are_drawn_with_their_peaks(tmp_path):
    """Forty thousand readings; the peak is in one of them."""
    times = pd.Timestamp("2026-01-15", tz="UTC") + pd.to_timedelta(range(8000), unit="s")
    columns = {"published": 1.0, "delivered": 1.0, "acknowledged": 1.0}
    queues = pd.concat(
        [
            pd.DataFrame({"time": times, "queue": f"Q{n}", "ready": 5.0, **columns})
            for n in range(5)
        ],
        ignore_index=True,
    )
    queues.loc[12_345, "ready"] = 777.0
    chart = plot_queues(queues)
    rows = max(len(rows) for rows in chart.to_dict()["datasets"].values())
    assert rows < 5000
    assert 777 == max(
        row["ready"]
        for rows in chart.to_dict()["datasets"].values()
        for row in rows
        if "ready" in row
    )
    assert picture(chart, tmp_path) > 10_000


def test_what_was_not_recorded_is_no_chart():
    """An empty picture says nothing: a finding without one says what is missing."""
    nothing = Recording("nowhere")
    shown = [
        show_measure(nothing.stats, "cpu_percent"), show_network(nothing.stats, "in"),
        plot_load(nothing.autoscaler), plot_replicas(nothing), plot_queues(nothing.queues),
    ]  # fmt: skip
    assert [None] * 5 == [finding.picture for finding in shown]


def test_experiments_stand_side_by_side(third):
    """The totals of each in its column."""
    table = side_by_side(third, [str(DATA / "experiment_1")])
    assert [18.32, 23.87] == table.loc["worker sent (GB)"].tolist()
    assert ["1 (1)", "4 (3)"] == table.loc["runs (with load)"].tolist()


def test_a_recording_of_seconds_is_too_short_for_a_chart_and_says_so(third):
    """The first and last ten seconds of a container are partial, and nothing is between them."""
    began = third.stats["time"].min()
    short = third.stats[third.stats["time"] < began + pd.Timedelta(seconds=8)]

    assert "samples of CPU over half a minute or more" == plot_measure(short, "cpu_percent").words
    assert (
        plot_replicas(replace(third, stats=short, autoscaler=third.autoscaler[:0])).picture is None
    )
