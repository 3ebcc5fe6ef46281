"""
Charts of the analysis: titles state the finding, axes have units, and each renders.
"""

import numpy as np
import pandas as pd
import pytest

from runbook_lib.load.analysis.cost_findings import plot_credits
from runbook_lib.load.analysis.cpu_credits import PLANS, simulate_credits
from runbook_lib.load.analysis.usl import curve
from runbook_lib.load.analysis.usl_charts import show_efficiency, show_throughput
from runbook_lib.load.analysis.usl_fit import fit_usl
from runbook_lib.load.autoscaling.search import Objective
from runbook_lib.load.autoscaling.simulation import (
    AutoscalerSetting,
    OfferedLoad,
    Workers,
    simulate_autoscaler,
)
from runbook_lib.load.autoscaling.trials import plot_settings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sweep():
    """One, two, four and eight workers, three times each."""
    random = np.random.default_rng(2)
    replicas = np.repeat([1.0, 2.0, 4.0, 8.0], 3)
    rates = curve(np.array([1, 0.05, 0.01]) / 60, replicas)
    noise = np.exp(0.04 * random.standard_normal(len(replicas)))
    return fit_usl(pd.DataFrame({"replicas": replicas, "tiles_per_s": rates * noise}))


@pytest.fixture(scope="module")
def one_count():
    return fit_usl(pd.DataFrame({"replicas": [12, 12], "tiles_per_s": [71.0, 73.0]}))


def texts(chart):
    """Everything that a reader sees as a title."""
    found = []

    def walk(node):
        if isinstance(node, dict):
            found.extend(str(v) for k, v in node.items() if k in {"title", "text"} and v)
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(chart.to_dict())
    return " | ".join(found)


def is_drawn(chart, tmp_path):
    chart.save(tmp_path / "chart.png")
    return (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_throughput_shows_steps_law_and_choice(sweep, tmp_path):
    chart = show_throughput(sweep, 7).picture
    assert "7 workers do " in texts(chart)
    assert "throughput (tiles/s)" in texts(chart)
    assert is_drawn(chart, tmp_path)


def test_the_band_is_about_the_line(sweep):
    """It is there at every point, and never turned over."""
    data = show_throughput(sweep, 7).picture.to_dict()["datasets"].values()
    (band,) = [rows for rows in data if "low" in rows[0]][:1]
    assert all(row["low"] <= row["high"] for row in band)
    assert [] == [row for row in band if row["low"] is None or row["replicas"] is None]


def test_without_a_fit_only_what_was_measured_is_drawn(one_count, tmp_path):
    """Points and no line: never a wrong chart."""
    chart = show_throughput(one_count, 12).picture
    assert ["circle"] == [layer["mark"]["type"] for layer in chart.to_dict()["layer"]]
    assert "too little for a curve" in texts(chart)
    assert "a second number of workers, to compare with" == show_efficiency(one_count).words
    assert is_drawn(chart, tmp_path)


def test_efficiency_says_what_is_left_of_a_worker(sweep, tmp_path):
    chart = show_efficiency(sweep).picture
    assert "With 8 workers, each does 5" in texts(chart)
    assert is_drawn(chart, tmp_path)


def test_credits_say_who_runs_out_and_when(tmp_path):
    times = pd.date_range("2026-01-15T10:00Z", periods=180, freq="1min")
    runs = {
        name: simulate_credits(PLANS["t2.micro"], pd.Series(use, index=times, dtype=float))
        for name, use in {"manager": 0.6, "worker-1": 0.05}.items()
    }
    chart = plot_credits(runs)
    assert "The credits of manager are spent after 1.0 h" in texts(chart)
    assert is_drawn(chart, tmp_path)
    assert "The CPU credits last" in texts(plot_credits({"worker-1": runs["worker-1"]}))


def test_settings_side_by_side_name_the_best(tmp_path):
    workers = Workers(tuple(15.0 * n for n in range(9)))
    runs = {
        name: simulate_autoscaler(
            AutoscalerSetting(qty_task=quantity, min_scale=1), OfferedLoad(tasks=5000), workers
        )
        for name, quantity in {"QTY_TASK 20": 20, "QTY_TASK 200": 200}.items()
    }
    chart = plot_settings(runs, Objective())
    assert "“QTY_TASK 20” is the best of 2" in texts(chart)
    assert {"tasks waiting", "replicas", "minutes"} <= set(texts(chart).split(" | "))
    assert is_drawn(chart, tmp_path)
