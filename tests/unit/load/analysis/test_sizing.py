"""
The sizing of a recorded load: right on a known law, and a stated limit where a recording is poor.
"""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from runbook_lib.core.errors import IntegrityError, NotFoundError, ParameterError
from runbook_lib.load.analysis.bottleneck import find_bottleneck, show_bottleneck
from runbook_lib.load.analysis.cost_findings import (
    show_costs,
    show_credits,
    show_idle,
    show_savings,
)
from runbook_lib.load.analysis.machine_views import run_table, side_by_side, total_differences
from runbook_lib.load.analysis.machines import signs_of_another_type
from runbook_lib.load.analysis.run_costs import find_costs
from runbook_lib.load.analysis.sizing import find_sizing
from runbook_lib.load.analysis.sizing_box import summarise
from runbook_lib.load.analysis.usl_charts import show_efficiency, show_left_out, show_throughput
from runbook_lib.load.analysis.usl_fit import leave_one_out, misses_allowed
from runbook_lib.load.autoscaling.replay import show_replay
from runbook_lib.load.autoscaling.search import Objective
from runbook_lib.load.autoscaling.trials import try_settings
from runbook_lib.load.recordings.schema import Recording, read_recording
from runbook_lib.load.recordings.separate_runs import find_runs
from runbook_lib.load.recordings.source import open_recording
from tests.fakes.sweep import MANAGER_S, NOISE, WORKER_S, rate_of, write_sweep
from tests.places import LOGS

pytestmark = pytest.mark.slow

LIGHTS = [0.2, 0.5, 0.7]


def sizing_of(recording, **values):
    return find_sizing(recording, **{"instance_type": "t2.micro", **values})


def costs_of(sizing, tiles=1_000_000):
    return find_costs(sizing, tiles=tiles, usd_per_hour=0.02)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return read_recording(write_sweep(tmp_path_factory.mktemp("sweep") / "load"))


@pytest.fixture(scope="module")
def sizing(sweep):
    return sizing_of(sweep)


@pytest.fixture(scope="module")
def third():
    return open_recording(str(LOGS / "experiment_3"))


def without_node(recording, node):
    return replace(recording, stats=recording.stats[recording.stats["node"] != node])


def test_the_number_of_workers_and_their_rate_are_those_of_the_law(sizing):
    rates = np.array([rate_of(n) for n in range(1, 9)])
    assert 1 + int((rates >= 0.95 * rates.max()).argmax()) == sizing.chosen
    assert rate_of(sizing.chosen) == pytest.approx(sizing.rate.value, rel=2 * NOISE)
    assert "a probability of 90% or more" in repr(summarise(sizing, costs_of(sizing)))
    assert summarise(sizing, costs_of(sizing)).headline.startswith(f"Use {sizing.chosen} workers")


def test_the_cpu_of_a_tile_is_what_was_put_in(sizing):
    assert WORKER_S == pytest.approx(sizing.use.workers, rel=0.03)
    assert MANAGER_S == pytest.approx(sizing.use.manager, rel=0.03)


def test_fewer_workers_are_named_where_credits_make_them_as_quick(sizing):
    """A million tiles outlast the credits of the manager: then its baseline sets the pace."""
    costs = costs_of(sizing)
    assert costs.fewest_in_time < sizing.chosen
    assert "it takes no longer" in show_costs(sizing, costs).words
    assert "manager" in show_credits(sizing).words


def test_a_short_job_ends_before_the_credits_do(sizing):
    short = costs_of(sizing, 10_000)
    assert sizing.chosen == short.fewest_in_time
    assert "it takes no longer" not in show_costs(sizing, short).words


def test_more_workers_than_allowed_are_not_recommended(sweep):
    assert 3 == sizing_of(sweep, most_workers=3).chosen


def test_left_out_numbers_are_predicted(sizing):
    left_out = leave_one_out(sizing.fit)
    assert [1, 2, 4, 8] == left_out["replicas"].tolist()
    assert (~left_out["inside"]).sum() <= misses_allowed(len(left_out))
    assert f"of {len(left_out)} lie within" in show_left_out(left_out).words


def test_a_bottleneck_is_asked_for_at_the_number_in_question(sizing):
    """Of a sweep with one to eight workers, those steps that are nearest to six."""
    cpu = sizing.bottleneck.utilisation.set_index("resource").loc["CPU of manager", "used"]
    assert cpu == pytest.approx(MANAGER_S * rate_of(8), rel=0.05)
    assert show_bottleneck(sizing.bottleneck, limits_known=True).words.startswith(
        sizing.bottleneck.words
    )


def test_one_number_of_workers_is_no_fit_and_says_so(tmp_path):
    one = sizing_of(read_recording(write_sweep(tmp_path, (4, 4, 4))))
    assert not one.is_recommendation
    assert "it has only 4" in summarise(one, costs_of(one)).headline
    assert "needs three replica counts; measured: 4" in one.limits[0]
    assert "No curve" in show_throughput(one.fit, one.chosen).words
    assert show_efficiency(one.fit).picture is None
    assert leave_one_out(one.fit).empty


def test_steps_that_the_dealer_paced_are_no_law(tmp_path):
    """Their rates say what was dealt, not what workers can do."""
    paced = sizing_of(read_recording(write_sweep(tmp_path, waiting=0)))
    assert ["dealer"] == paced.points["limited_by"].unique().tolist()
    assert not paced.is_recommendation
    assert "the dealer set the pace" in paced.limits[0]


def test_a_worker_node_without_samples_counts_like_the_others(sweep, sizing):
    """Its CPU would be missing from the price of every tile."""
    poor = sizing_of(without_node(sweep, "worker-2"))
    assert sizing.use.workers == pytest.approx(poor.use.workers, rel=0.02)
    assert "worker-2 not sampled: assumed to have worked as the others did" in poor.limits


def test_worker_nodes_are_those_with_workers_whatever_their_names(sweep, sizing):
    """EC2's own host names; the node of the web stack has no workers, and no share of a tile."""
    names = {f"worker-{n}": f"ip-172-31-5-4{n}" for n in range(1, 9)}
    stats = sweep.stats.assign(node=sweep.stats["node"].replace(names))
    web = stats[stats["node"] == "manager"].assign(node="ip-172-31-5-99", service="page")
    experiment = {k: v for k, v in sweep.experiment.items() if k != "hostnames"}
    foreign = replace(sweep, stats=pd.concat([stats, web]), experiment=experiment)
    theirs = sizing_of(foreign)
    assert len(sizing.machines.workers) == len(theirs.machines.workers)
    assert {"ip"} == {name.partition("-")[0] for name in theirs.machines.workers}
    assert sizing.use.workers == pytest.approx(theirs.use.workers)
    assert sizing.use.manager == pytest.approx(theirs.use.manager)


def test_without_the_manager_there_are_no_costs(sweep):
    poor = sizing_of(without_node(sweep, "manager"))
    assert poor.is_recommendation
    assert costs_of(poor).table.empty
    assert "no costs: the manager was not sampled, so the CPU of a tile is unknown" in poor.limits
    assert show_costs(poor, costs_of(poor)).picture is None
    assert show_credits(poor).picture is None


def test_a_step_that_did_nothing_is_named_and_costs_nothing(sweep, sizing):
    """Its CPU was used for no tile: counted, a tile would cost twice as much."""
    step = sweep.steps.iloc[2]
    still = sweep.workers["time"].between(step["began"], step["ended"])
    poor = sizing_of(replace(sweep, workers=sweep.workers.assign(
        tiles_done=sweep.workers["tiles_done"].mask(still, 0.0))))  # fmt: skip
    assert f"step 2 ({step['replicas']} workers) did 0 tiles/s and is left out" in poor.limits
    assert "Step 2 (8 workers) did 0 tiles/s" in repr(summarise(poor, costs_of(poor)))
    assert sizing.use.manager == pytest.approx(poor.use.manager, rel=0.02)


def test_cpu_and_tiles_of_a_tile_are_those_of_the_same_minutes(third):
    """Twelve workers ran in two of the stretches; the CPU of those with eight is not theirs."""
    found = sizing_of(third)
    spans = found.points[found.points["replicas"] == 12]
    stats = third.stats[third.stats["node"] == "manager"]
    rows = [stats["time"].between(p.began, p.ended) for p in spans.itertuples()]
    own = stats[np.logical_or.reduce(rows)]
    cpu = own.groupby(own["time"].dt.floor("1s"))["cpu_percent"].sum().mean() / 100
    rate = np.average(spans["tiles_per_s"], weights=spans["seconds"])
    assert cpu / rate == pytest.approx(found.use.manager, rel=0.01)


def test_a_container_above_its_limit_had_another_one(sweep):
    """The stack file's 0.5 CPU is no limit of a broker that used 0.58."""
    found = find_bottleneck(sweep, {"rabbitmq": 0.3, "worker": 0.75})
    assert "CPU limit of rabbitmq" not in found.utilisation["resource"].tolist()
    assert "it was recorded with another limit than the stack file's" in found.words


def test_what_contradicts_an_instance_type_is_listed(sweep):
    """The check in 11 compared the type with itself where the recording names none."""
    assert [] == signs_of_another_type(sweep, "t2.micro")
    assert "it was recorded on t2.micro" == signs_of_another_type(sweep, "t2.small")[0]
    unnamed = replace(sweep, experiment={}, stats=sweep.stats.assign(memory_bytes=3e9))
    (sign,) = signs_of_another_type(unnamed, "t2.micro")
    assert "containers of a node used 2.79 GiB of 1" == sign


def test_without_any_sample_the_law_still_holds(sweep):
    poor = sizing_of(replace(sweep, stats=sweep.stats.iloc[:0]))
    assert poor.is_recommendation
    assert poor.bottleneck is None
    assert costs_of(poor).table.empty


def test_an_instance_type_with_unknown_credits_is_refused(third):
    with pytest.raises(ParameterError, match=r"credits are known; .m5\.large. is not"):
        sizing_of(third, instance_type="m5.large")


def test_a_recording_without_rates_has_no_answer_and_no_trials():
    """The first experiment's log was written after its load."""
    first = sizing_of(open_recording(str(LOGS / "experiment_1")))
    headline = summarise(first, costs_of(first)).headline
    assert "This recording cannot tell how many workers to use" == headline
    assert try_settings(first, LIGHTS, Objective()).table.empty
    assert show_idle(first, 0.02).picture is not None


def test_another_stack_has_machines_and_limits_and_no_number_of_workers(sweep):
    """As 13 records it: samples and the limits of the live services, no queues, steps or tiles."""
    told = {"stack": "other", "instance_type": "t2.micro", "cpu_limits": {"worker": 0.2}}
    found = sizing_of(Recording(source="other", stats=sweep.stats, experiment=told))

    assert not found.is_recommendation
    assert ("it has no throughput",) == found.limits
    assert "CPU limit of worker" == found.bottleneck.resource
    assert "No queue was recorded" in found.bottleneck.words
    assert {} == found.vcpus_by_node


def test_what_the_autoscaler_made_of_the_third_experiment(third):
    assert "9% saved" in show_savings(third, 0.02).words
    replayed = show_replay(third)
    assert 0 == replayed.unexplained
    assert "100.0% of 2146" in replayed.words


def test_trials_begin_with_the_best_and_say_what_they_assume(third):
    trials = try_settings(sizing_of(third), LIGHTS, Objective())
    assert trials.table["score_usd"].is_monotonic_increasing
    assert "the load that was recorded; workers each 6 tiles a second" in trials.words
    assert trials.refresh_rate_s == trials.table["refresh_rate_s"].iloc[0]


def test_totals_are_checked_against_the_plainest_sum(third):
    assert total_differences(third).empty
    two = pd.concat([third.stats, third.stats.assign(container=third.stats["container"] + "x")])
    assert total_differences(replace(third, stats=two)).empty


def test_side_by_side_has_a_column_each(third):
    table = side_by_side(third, [str(LOGS / "experiment_1")])
    assert 2 == len(table.columns)
    assert [29.0, 44.2] == table.loc["busy (minutes)"].tolist()
    assert 1 == len(run_table(find_runs(third.stats)))


def test_the_newest_recorded_run_is_taken_without_a_name(tmp_path):
    for name in ("2026-01-01T00-00-00Z", "2026-01-02T00-00-00Z"):
        write_sweep(tmp_path / name / "load", (1, 2))
    (tmp_path / "2026-01-03T00-00-00Z").mkdir()
    assert (
        str(tmp_path / "2026-01-02T00-00-00Z" / "load") == open_recording("", runs=tmp_path).source
    )


def test_the_folder_of_a_run_stands_for_its_load(tmp_path):
    write_sweep(tmp_path / "load", (1, 2))
    assert isinstance(open_recording(str(tmp_path)), Recording)


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("nowhere", "there is no such folder"),
        ("", "there is none"),
        ("empty", "the folder holds none"),
    ],
)
def test_a_folder_without_a_recording_is_said_to_be_one(folder, message, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFoundError, match=message) as error:
        open_recording(str(tmp_path / folder) if folder else "", runs=tmp_path)
    assert "\n  next: " in str(error.value)


def test_a_folder_of_experiments_says_which_there_are():
    with pytest.raises(NotFoundError, match="name one of its folders: experiment_1, experiment_3"):
        open_recording(str(LOGS))


def test_a_table_with_other_columns_is_refused(tmp_path):
    folder = write_sweep(tmp_path / "load", (1, 2))
    shutil.copy(folder / "queues.parquet", folder / "stats.parquet")
    with pytest.raises(IntegrityError, match="expected the columns of stats"):
        open_recording(str(folder))


def test_a_recording_keeps_what_it_says_of_its_instances(sweep, tmp_path):
    """What was measured on one type says nothing of another."""
    folder = write_sweep(tmp_path / "load", (1, 2))
    told = json.loads((folder / "experiment.json").read_text()) | {"instance_type": "t2.small"}
    (folder / "experiment.json").write_text(json.dumps(told))
    assert "t2.small" == sizing_of(read_recording(folder)).machines.instance_type
