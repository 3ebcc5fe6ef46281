"""
Charts of the published experiments: they say what the logs say, and can be drawn.
"""

import numpy as np
import pandas as pd
import pytest

from runbook_lib.load.analysis.machine_views import (
    MEASURES,
    plot_load,
    plot_measure,
    plot_queues,
    plot_replicas,
    side_by_side,
)
from runbook_lib.load.recordings.schema import Recording
from runbook_lib.load.recordings.source import read_published_logs
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
    assert "The load was GREEN 62%, GREY 28%, YELLOW 10%, RED under 1%" == chart.title
    assert picture(chart, tmp_path) > 10_000


def test_replicas_requested_and_sampled_are_told_apart(third, tmp_path):
    """The files hold fewer workers than the autoscaler asked for."""
    chart = plot_replicas(third)
    assert "10.9 replicas requested" in chart.title
    assert "in the samples" in chart.title
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


def test_what_was_not_recorded_is_said_so():
    """An empty recording has charts with a title and nothing in them."""
    nothing = Recording("nowhere")
    assert "No CPU was recorded" == plot_measure(nothing.stats, "cpu_percent").title
    assert "No load was recorded" == plot_load(nothing.autoscaler).layer[0].title
    assert "No replicas were recorded" == plot_replicas(nothing).title
    assert "No queues were recorded" == plot_queues(nothing.queues).vconcat[0].title


def test_experiments_stand_side_by_side(third):
    """The totals of each in its column."""
    table = side_by_side(third, [str(DATA / "experiment_1")])
    assert [18.32, 23.87] == table.loc["worker sent (GB)"].tolist()
    assert ["1 (1)", "4 (3)"] == table.loc["runs (with load)"].tolist()


def test_a_recording_of_seconds_is_too_short_for_a_chart_and_says_so(third):
    """The first and last ten seconds of a container are partial, and nothing is between them."""
    began = third.stats["time"].min()
    short = third.stats[third.stats["time"] < began + pd.Timedelta(seconds=8)]

    chart = plot_measure(short, "cpu_percent")
    assert "The recording is too short for a chart of CPU" == chart.title
