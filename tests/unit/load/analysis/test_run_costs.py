"""
Hours and dollars: sums that can be done by hand.
"""

import numpy as np
import pandas as pd
import pytest

from runbook_lib.core.errors import ParameterError
from runbook_lib.load.analysis.cpu_credits import PLANS
from runbook_lib.load.analysis.machines import CpuUse, cpu_use
from runbook_lib.load.analysis.run_costs import (
    autoscaling_savings,
    costs_by_workers,
    idle_cost,
)
from runbook_lib.load.analysis.usl_fit import fit_usl

MICRO = PLANS["t2.micro"]


@pytest.fixture(scope="module")
def throughput():
    """Ten tiles a second for each worker, with hardly any noise."""
    random = np.random.default_rng(1)
    replicas = np.repeat([1.0, 2.0, 4.0, 8.0], 3)
    rates = 10 * replicas * np.exp(0.01 * random.standard_normal(len(replicas)))
    return fit_usl(pd.DataFrame({"replicas": replicas, "tiles_per_s": rates})).throughput


def test_cpu_a_tile_is_what_was_used_over_what_was_done():
    measured = {"manager": 0.6, "worker-1": 0.3, "worker-2": 0.3}
    use = cpu_use(measured, 60)
    assert pytest.approx((0.01, 0.01)) == (use.workers, use.manager)
    assert pytest.approx({"manager": 0.3, "worker-1": 0.15, "worker-2": 0.15}) == use.by_node(30, 2)


def test_below_the_baseline_the_promise_holds(throughput):
    """80 tiles a second at 0.001 vCPU-seconds each: 8 % of the manager."""
    row = costs_by_workers(throughput, [8], CpuUse(0.001, 0.001), MICRO, tiles=288_000).iloc[0]
    assert pytest.approx(1, rel=0.03) == row["hours_promised"] == row["hours"]
    assert pytest.approx(6 * 0.0116, rel=0.03) == row["usd"]
    assert "" == row["runs_out_first"]


def test_above_it_an_hour_does_not_hold_what_the_burst_promised(throughput):
    """40 % of the manager: 30 credits last 1.7 h at 80 a second, and then there is a quarter."""
    row = costs_by_workers(throughput, [8], CpuUse(0.001, 0.005), MICRO, tiles=80 * 3600 * 10).iloc[
        0
    ]
    assert "manager" == row["runs_out_first"]
    assert pytest.approx(30 / 18, rel=0.05) == row["burst_hours"]
    assert pytest.approx(30 / 18 + (10 - 30 / 18) * 4, rel=0.05) == row["hours"]
    assert pytest.approx(10, rel=0.03) == row["hours_promised"]


def test_uncertainty_goes_through_to_the_dollars(throughput):
    row = costs_by_workers(throughput, [4], CpuUse(0.001, 0.001), MICRO, tiles=288_000).iloc[0]
    assert row["usd_low"] < row["usd"] < row["usd_high"]
    assert row["hours_low"] < row["hours"] < row["hours_high"]


def test_a_law_does_not_reach_beyond_the_cpu_there_is(throughput):
    """A tile costs the manager 0.05 vCPU-seconds: more than 20 a second it cannot do."""
    row = costs_by_workers(throughput, [8], CpuUse(0.001, 0.05), MICRO, tiles=1000).iloc[0]
    assert pytest.approx(20) == row["tiles_per_s"]


def test_idle_workers_cost_their_instances_and_some_credits():
    """The authors: 0.1 credits in five minutes a node, 1.2 an hour, of 6."""
    cost = idle_cost({f"worker-{n}": 0.02 for n in range(4)}, MICRO)
    assert pytest.approx((4 * 0.0116, 4.8, 0.2)) == (
        cost.usd_per_hour,
        cost.credits_per_hour,
        cost.share_of_earned,
    )


def test_autoscaling_saves_credits_and_money_only_where_nodes_are_empty():
    """An hour at 12 and an hour at 2, beside 12 for two: four nodes, and then two."""
    times = pd.date_range("2026-01-15T10:00Z", periods=3, freq="1h")
    saved = autoscaling_savings(pd.Series([12.0, 2.0, 2.0], index=times), 12, worker_nodes=4)
    assert (14, 24) == (saved.replica_hours, saved.fixed_replica_hours)
    assert (4 + 2, 8) == (saved.node_hours, saved.fixed_node_hours)
    assert pytest.approx(2 * 0.0116) == saved.usd_if_stopped
    assert pytest.approx(10 * 60 * 0.01) == saved.credits
    assert "0 USD while every node keeps running" in repr(saved)
    assert "would save 2 node-hours" in repr(saved)


def test_workers_that_swarm_spreads_leave_no_node_empty():
    """Nine and then six on four nodes: there is nothing to stop."""
    times = pd.date_range("2026-01-15T10:00Z", periods=3, freq="1h")
    saved = autoscaling_savings(pd.Series([9.0, 6.0, 6.0], index=times), 9, worker_nodes=4)
    assert (8, 8, 0) == (saved.node_hours, saved.fixed_node_hours, saved.usd_if_stopped)
    assert "stopping empty nodes would save 0 node-hours" in repr(saved)


def test_a_day_between_two_logs_is_no_hour_of_an_autoscaler():
    times = pd.date_range("2026-01-15T10:00Z", periods=60, freq="1min")
    both = times.append(times + pd.Timedelta("1D"))
    saved = autoscaling_savings(pd.Series(4.0, index=both), 8)
    assert pytest.approx(2 * 59 / 60) == saved.hours


def test_without_a_worker_node_nothing_is_said_about_stopping_one():
    times = pd.date_range("2026-01-15T10:00Z", periods=2, freq="1h")
    saved = autoscaling_savings(pd.Series([2.0, 2.0], index=times), 4, worker_nodes=0)
    assert "How many worker nodes there were is not recorded" in repr(saved)


def test_what_cannot_be_is_refused(throughput):
    times = pd.date_range("2026-01-15T10:00Z", periods=2, freq="1h")
    refused = [
        lambda: cpu_use({"manager": 1.0}, 0.0),
        lambda: cpu_use({"worker-1": 1.0}, 10.0),
        lambda: costs_by_workers(throughput, [1], CpuUse(0.1, 0.1), MICRO, tiles=0),
        lambda: idle_cost({}, MICRO),
        lambda: autoscaling_savings(pd.Series([1.0, 2.0], index=times[::-1]), 8),
        lambda: autoscaling_savings(pd.Series([1.0], index=times[:1]), 8),
    ]
    for ask in refused:
        with pytest.raises(ParameterError, match="next: "):
            ask()
