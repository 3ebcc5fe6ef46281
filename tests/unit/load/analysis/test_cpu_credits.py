"""
CPU credits: AWS's own rules and figures.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook_lib.core.errors import ParameterError
from runbook_lib.load.analysis.cpu_credits import (
    PLANS,
    burst,
    get_plan,
    simulate_credits,
)

MICRO = PLANS["t2.micro"]


def use(vcpus, hours, step_min=1):
    times = pd.date_range(
        "2026-01-15T10:00Z", periods=int(hours * 60 / step_min), freq=f"{step_min}min"
    )
    return pd.Series(vcpus, index=times, dtype=float)


def test_the_guides_figures_of_a_t2_micro():
    assert (6, 144, 30) == (MICRO.credits_per_h, MICRO.most_saved, MICRO.launch_credits)


@pytest.mark.parametrize("name", PLANS)
def test_a_day_of_idling_saves_the_most_that_can_be_saved(name):
    """AWS: the limit is what is earned in 24 hours; launch credits come on top."""
    plan = PLANS[name]
    idle = simulate_credits(plan, use(0.0, 30))
    at = idle.set_index("time")["credits"]
    assert plan.most_saved == 24 * plan.credits_per_h
    assert pytest.approx(plan.most_saved + plan.launch_credits) == at.iloc[-1]
    assert pytest.approx(plan.most_saved + plan.launch_credits) == at.iloc[24 * 60]


def test_launch_credits_are_spent_first_while_others_are_saved():
    """Ten minutes of a whole CPU cost ten launch credits, and earn one."""
    after = simulate_credits(MICRO, use(1.0, 1)).iloc[10]
    assert pytest.approx((20, 1)) == (after["launch_credits"], after["saved_credits"])


def test_a_fresh_instance_bursts_for_33_minutes_and_then_has_a_tenth():
    """30 launch credits and 6 an hour against 60 an hour."""
    run = simulate_credits(MICRO, use(1.0, 2, step_min=0.5)).set_index("time")
    throttled = run.index[run["throttled"]]
    hours = (throttled[0] - run.index[0]) / pd.Timedelta("1h")
    assert pytest.approx(30 / 54, abs=0.02) == hours
    after = burst(MICRO, {"worker-1": 1.0})
    assert pytest.approx((30 / 54, 0.1)) == (after.hours, after.sustained_share)
    assert pytest.approx(0.1) == run["used_vcpus"].iloc[-1]


def test_the_baseline_lasts_for_ever():
    spent = replace(MICRO, launch_credits=0)
    assert np.inf == burst(spent, {"worker-1": 0.1}).hours
    assert not simulate_credits(spent, use(0.1, 5))["throttled"].any()


@given(st.floats(0.11, 1), st.floats(0, 174))
def test_the_burst_lasts_as_the_simulation_says(vcpus, launch):
    """The formula and the minute by minute account agree to the minute."""
    plan = replace(MICRO, launch_credits=launch)
    hours = burst(plan, {"worker-1": vcpus}).hours
    if hours > 20:
        return
    run = simulate_credits(plan, use(vcpus, hours + 1))
    minutes = int(run["throttled"].to_numpy().argmax())
    assert abs(hours * 60 - minutes) <= 1.01


@given(st.lists(st.floats(0, 1), min_size=2, max_size=200))
def test_no_credit_is_made_or_lost_but_at_the_limit(vcpus):
    """What began and was earned is what was spent and is left."""
    run = simulate_credits(MICRO, pd.Series(vcpus, index=use(0, 4).index[: len(vcpus)]))
    left = run["credits"]
    spent, earned = run["used_vcpus"].iloc[:-1].sum(), 0.1 * (len(run) - 1)
    assert pytest.approx(MICRO.launch_credits + earned, abs=1e-6) == spent + left.iloc[-1]
    assert (left >= 0).all()


def test_a_burst_does_not_promise_what_an_hour_cannot_hold():
    """Workers at 60 % of a CPU: 100 tiles a second is for one hour, then 17."""
    found = burst(MICRO, {"worker-1": 0.6, "manager": 0.3})
    assert "worker-1" == found.slowest
    assert pytest.approx(30 / (36 - 6)) == found.hours
    assert pytest.approx(1 / 6) == found.sustained_share
    promised = 100 * 3600 * 24
    held = 100 * 3600 * (1 + 23 / 6)
    assert held < 0.25 * promised
    assert found.hours_for(promised, 100) > 4 * 24
    assert pytest.approx(24) == found.hours_for(held, 100)


def test_a_small_data_set_is_done_within_the_burst():
    found = burst(MICRO, {"worker-1": 0.6})
    assert pytest.approx(1000 / 100 / 3600) == found.hours_for(1000, 100)


def test_below_the_baseline_nothing_slows():
    found = burst(MICRO, {"worker-1": 0.05})
    assert pytest.approx(24) == found.hours_for(3600 * 24 * 100, 100)
    assert "below the baseline" in repr(found)


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([0.1], index=use(0, 1).index[:1]),
        pd.Series([0.1, 0.2], index=use(0, 1).index[[1, 0]]),
        pd.Series([0.1, 40.0], index=use(0, 1).index[:2]),
        pd.Series([0.1, np.nan], index=use(0, 1).index[:2]),
    ],
    ids=["one_sample", "times_mixed_up", "percent_for_vcpus", "not_measured"],
)
def test_a_use_that_cannot_be_is_refused(series):
    with pytest.raises(ParameterError, match="next: give the CPU of one node"):
        simulate_credits(MICRO, series)


@pytest.mark.parametrize("nodes", [{}, {"worker-1": 60.0}, {"worker-1": float("nan")}])
def test_nodes_that_cannot_be_are_refused(nodes):
    with pytest.raises(ParameterError, match="vCPUs in use of each node"):
        burst(MICRO, nodes)


def test_another_family_is_refused():
    with pytest.raises(ParameterError, match=r"known: t2\.nano, t2\.micro"):
        get_plan("m5.large")
