"""
The autoscaler on paper: the deployed policy, loads whose end is known, and what is refused.
"""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.geodiff.service_modules import PACKAGE, service_module
from runbook_lib.load.autoscaling.search import Objective, figures, search_settings, turns
from runbook_lib.load.autoscaling.simulation import (
    AutoscalerSetting,
    OfferedLoad,
    Workers,
    recorded_load,
    simulate_autoscaler,
)
from runbook_lib.load.recordings.schema import Recording, empty_frame

TEN_EACH = Workers(tuple(10.0 * n for n in range(21)), start_up_s=10)
SETTING = AutoscalerSetting(
    qty_task=15, refresh_rate_s=5, min_scale=2, max_scale=8, batch=100, wait_s=1.0
)


def test_the_policy_is_the_file_that_is_deployed():
    """Not a copy of it."""
    assert PACKAGE / "policy.py" == type(PACKAGE)(service_module("policy").__file__)


def test_a_services_module_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match="next: run from a checkout"):
        service_module("policy", tmp_path)


def test_all_tasks_are_done_and_none_twice():
    """What was published is what was done."""
    run = simulate_autoscaler(SETTING, OfferedLoad(tasks=5000), TEN_EACH)
    assert run.finished
    assert pytest.approx(5000) == run.timeline["published"].sum() == run.timeline["done"].sum()


def test_the_queue_is_what_came_less_what_was_done():
    table = simulate_autoscaler(SETTING, OfferedLoad(tasks=5000), TEN_EACH).timeline
    waiting = (table["published"] - table["done"]).cumsum()
    assert np.allclose(waiting, table["waiting"])


def test_a_heavy_load_brings_more_workers_and_slows_the_dealer():
    """100 tasks a second are more than 8 workers do; RED at MAX_SCALE lowers BATCH."""
    table = simulate_autoscaler(SETTING, OfferedLoad(tasks=20000), TEN_EACH).timeline
    assert (2, 8) == (table["wanted"].min(), table["wanted"].max())
    assert SETTING.min_batch <= table["batch"].min() < SETTING.batch


def test_a_new_worker_takes_its_time():
    """It counts as running ten seconds after it was wanted."""
    table = simulate_autoscaler(SETTING, OfferedLoad(tasks=20000), TEN_EACH).timeline
    wanted = table.loc[table["wanted"] > 2, "second"].iloc[0]
    running = table.loc[table["running"] > 2, "second"].iloc[0]
    assert 10 == running - wanted


def test_decisions_come_every_refresh_rate():
    run = simulate_autoscaler(SETTING, OfferedLoad(tasks=20000), TEN_EACH)
    assert {SETTING.refresh_rate_s} == set(run.decisions["second"].diff().dropna())


def test_idle_workers_are_taken_away_one_by_one():
    """After the load, GREY takes one at a time down to MIN_SCALE."""
    load = OfferedLoad(per_s=(100.0,) * 120 + (0.0,) * 300)
    table = simulate_autoscaler(SETTING, load, TEN_EACH).timeline
    assert 2 == table["wanted"].iloc[-1]
    assert -1 == table["wanted"].diff().min()


def test_an_impossible_load_has_no_good_setting():
    """It ends at the limit, unfinished, and scores infinite."""
    slow = Workers(tuple(0.001 * n for n in range(21)))
    run = simulate_autoscaler(SETTING, OfferedLoad(tasks=100_000), slow)
    assert not run.finished
    assert np.inf == figures(run, Objective())["score_usd"]


@pytest.mark.parametrize(
    ("wanted", "count"), [([2, 4, 6], 0), ([2, 4, 4, 3], 1), ([2, 3, 2, 3], 2), ([5], 0)]
)
def test_turns_count_changes_of_direction(wanted, count):
    assert count == turns(np.array(wanted))


def test_the_search_finds_the_best_of_what_was_offered():
    """As good as the best single run of the same settings, in order, each of them once."""
    choices = {"min_scale": [2, 8], "max_scale": [4, 8], "qty_task": [15, 30]}
    table = search_settings(
        OfferedLoad(tasks=5000), TEN_EACH, choices, base=SETTING, objective=Objective()
    )
    alone = [
        replace(SETTING, min_scale=low, max_scale=high, qty_task=quantity)
        for low, high, quantity in product((2, 8), (4, 8), (15, 30))
        if low <= high
    ]
    runs = [simulate_autoscaler(setting, OfferedLoad(tasks=5000), TEN_EACH) for setting in alone]
    scores = [figures(run, Objective())["score_usd"] for run in runs]
    assert pytest.approx(sorted(scores)) == table["score_usd"].tolist()


def test_the_best_setting_does_not_win_by_dealing_slowly():
    """A smaller BATCH keeps the queue shorter, and the work takes longer."""
    choices = {"batch": [50, 80], "min_scale": [8], "qty_task": [100]}
    waiting = Objective(usd_per_node_hour=0, usd_per_turn=0)
    table = search_settings(
        OfferedLoad(tasks=20_000), TEN_EACH, choices, base=SETTING, objective=waiting
    )
    slow = table[(table["batch"] == 50) & (table["min_scale"] == 8)].iloc[0]
    best = table.iloc[0]
    assert slow["seconds_in_queue"] <= best["seconds_in_queue"]
    assert (80, 8) == (best["batch"], best["min_scale"])
    assert slow["hours"] > 1.5 * best["hours"]


def test_all_workers_from_the_start_wait_for_nothing_more():
    """What no setting can avoid has no price: else every difference would be small beside it."""
    quick = replace(SETTING, min_scale=8, max_scale=8, qty_task=100, batch=80)
    eight = Workers(TEN_EACH.tiles_per_s[:9])
    run = simulate_autoscaler(quick, OfferedLoad(tasks=20_000), eight)
    waiting = Objective(usd_per_node_hour=0, usd_per_turn=0, usd_per_waiting_tile_hour=1)
    assert figures(run, waiting)["score_usd"] < 0.02 * run.least_tile_hours


def test_nodes_are_paid_while_swarm_spreads_workers_over_them():
    """Four nodes with 8 workers and with 4; two with 2."""
    price = Objective(usd_per_waiting_tile_hour=0, usd_per_turn=0, worker_nodes=4)
    load = OfferedLoad(per_s=(1.0,) * 3600)
    hours = [
        figures(
            simulate_autoscaler(replace(SETTING, min_scale=n, max_scale=n), load, TEN_EACH), price
        )
        for n in (8, 4, 2)
    ]
    assert [4, 4, 2] == [round(found["node_hours"]) for found in hours]


def test_of_settings_that_cost_the_same_the_recorded_one_is_first():
    """With the bounds equal, nothing depends on how often it decides."""
    fixed = replace(SETTING, min_scale=8, qty_task=100)
    table = search_settings(
        OfferedLoad(tasks=5000),
        TEN_EACH,
        {"refresh_rate_s": [1, 15], "qty_task": [90, 100]},
        base=fixed,
        objective=Objective(),
    )
    assert 1 == table["score_usd"].nunique()
    assert (5, 100) == (table["refresh_rate_s"].iloc[0], table["qty_task"].iloc[0])


def test_a_higher_price_of_waiting_wants_more_workers():
    """The objective decides, not a habit of the search."""
    choices = {"min_scale": [1, 4, 8]}
    load = OfferedLoad(per_s=(30.0,) * 60 + (0.0,) * 600)
    cheap, dear = (
        search_settings(
            load, TEN_EACH, choices, base=SETTING,
            objective=Objective(usd_per_waiting_tile_hour=price),
        ).iloc[0]["min_scale"]
        for price in (0.0, 10.0)
    )  # fmt: skip
    assert (1, 8) == (cheap, dear) or (1, 4) == (cheap, dear)


def test_the_recorded_rate_becomes_a_load():
    """Held until the next decision."""
    times = pd.to_datetime(["2026-01-15T10:00:00Z", "2026-01-15T10:00:03Z"])
    decisions = empty_frame("autoscaler").reindex(range(2))
    decisions = decisions.assign(time=times, published_per_s=[10.0, 20.0])
    assert (10.0, 10.0, 10.0, 20.0) == recorded_load(Recording("x", autoscaler=decisions)).per_s


def test_a_recording_without_a_rate_is_no_load():
    with pytest.raises(NotFoundError, match="published rate over time in x"):
        recorded_load(Recording("x"))


@pytest.mark.parametrize(
    ("change", "load", "told"),
    [
        ({"min_scale": 9}, OfferedLoad(tasks=1), "min_scale <= max_scale"),
        ({"grey": 0.6}, OfferedLoad(tasks=1), "grey < green"),
        ({"refresh_rate_s": 0.2}, OfferedLoad(tasks=1), "whole number"),
        ({"qty_task": 0}, OfferedLoad(tasks=1), "qty_task > 0"),
        ({"wait_s": 0}, OfferedLoad(tasks=1), "wait_s > 0"),
        ({"max_scale": 40}, OfferedLoad(tasks=1), "known up to 20 workers"),
        ({}, OfferedLoad(), "either tasks or a rate"),
        ({}, OfferedLoad(per_s=(1.0, float("nan"))), "not measured"),
    ],
)
def test_what_cannot_be_is_refused(change, load, told):
    with pytest.raises(ParameterError, match=told):
        simulate_autoscaler(replace(SETTING, **change), load, TEN_EACH)


@pytest.mark.parametrize(
    "choices", [{"colour": [1]}, {"min_scale": []}, {"batch": list(range(1, 6000))}]
)
def test_choices_that_cannot_be_are_refused(choices):
    with pytest.raises(ParameterError, match="1 to 5000 combinations"):
        search_settings(
            OfferedLoad(tasks=10), TEN_EACH, choices, base=SETTING, objective=Objective()
        )
