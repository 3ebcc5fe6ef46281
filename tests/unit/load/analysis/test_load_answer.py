"""
The answer of a load analysis: right on a known law, and a stated limit where a recording is poor.
"""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from runbook_lib.core.errors import IntegrityError, NotFoundError, ParameterError
from runbook_lib.load.analysis.answer_box import summarise
from runbook_lib.load.analysis.answer_findings import (
    misses_allowed,
    predict_left_out,
    show_bottleneck,
    show_efficiency,
    show_left_out,
    show_throughput,
)
from runbook_lib.load.analysis.cost_findings import (
    describe_idle,
    describe_savings,
    show_costs,
    show_credits,
)
from runbook_lib.load.analysis.load_answer import find_answer
from runbook_lib.load.analysis.pages import run_table, side_by_side, total_differences
from runbook_lib.load.autoscaling.replay_finding import replay_recording
from runbook_lib.load.autoscaling.setting_search import Objective
from runbook_lib.load.autoscaling.setting_trials import try_settings
from runbook_lib.load.recordings.schema import Recording, read_recording
from runbook_lib.load.recordings.separate_runs import find_runs
from runbook_lib.load.recordings.source import open_recording
from tests.places import LOGS
from tests.sweep_recording import MANAGER_S, NOISE, WORKER_S, rate_of, write_sweep

pytestmark = pytest.mark.slow

LIGHTS = [0.2, 0.5, 0.7]


def answer_of(recording, **values):
    wishes = {"tiles": 1_000_000, "instance_type": "t2.micro", "usd_per_hour": 0.02} | values
    return find_answer(recording, **wishes)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return read_recording(write_sweep(tmp_path_factory.mktemp("sweep") / "load"))


@pytest.fixture(scope="module")
def answer(sweep):
    return answer_of(sweep)


@pytest.fixture(scope="module")
def third():
    return open_recording(str(LOGS / "experiment_3"))


def without_node(recording, node):
    return replace(recording, stats=recording.stats[recording.stats["node"] != node])


def test_the_number_of_workers_and_their_rate_are_those_of_the_law(answer):
    rates = np.array([rate_of(n) for n in range(1, 9)])
    assert 1 + int((rates >= 0.95 * rates.max()).argmax()) == answer.chosen
    assert rate_of(answer.chosen) == pytest.approx(answer.rate.value, rel=2 * NOISE)
    assert summarise(answer).headline.startswith(f"Use {answer.chosen} workers")


def test_the_cpu_of_a_tile_is_what_was_put_in(answer):
    assert WORKER_S == pytest.approx(answer.use.workers, rel=0.03)
    assert MANAGER_S == pytest.approx(answer.use.manager, rel=0.03)


def test_fewer_workers_are_named_where_credits_make_them_as_quick(answer):
    """A million tiles outlast the credits of the manager: then its baseline sets the pace."""
    assert answer.fewest_in_time < answer.chosen
    assert "it takes no longer" in show_costs(answer).words
    assert "manager" in show_credits(answer).words


def test_a_short_job_ends_before_the_credits_do(sweep):
    short = answer_of(sweep, tiles=10_000)
    assert short.chosen == short.fewest_in_time
    assert "it takes no longer" not in show_costs(short).words


def test_more_workers_than_allowed_are_not_recommended(sweep):
    assert 3 == answer_of(sweep, most_workers=3).chosen


def test_left_out_numbers_are_predicted(answer):
    left_out = predict_left_out(answer)
    assert [1, 2, 4, 8] == left_out["replicas"].tolist()
    assert (~left_out["inside"]).sum() <= misses_allowed(len(left_out))
    assert f"of {len(left_out)} lie within" in show_left_out(left_out).words


def test_a_bottleneck_is_asked_for_at_the_number_in_question(answer):
    """Of a sweep with one to eight workers, those steps that are nearest to six."""
    cpu = answer.bottleneck.utilisation.set_index("resource").loc["CPU of manager", "used"]
    assert cpu == pytest.approx(MANAGER_S * rate_of(8), rel=0.05)
    assert show_bottleneck(answer).words.startswith(answer.bottleneck.words)


def test_one_number_of_workers_is_no_fit_and_says_so(tmp_path):
    one = answer_of(read_recording(write_sweep(tmp_path, (4, 4, 4))))
    assert not one.is_recommendation
    assert "it has only 4" in summarise(one).headline
    assert "needs three replica counts; measured: 4" in one.limits[0]
    assert "No curve" in show_throughput(one).words
    assert show_efficiency(one).picture is None
    assert predict_left_out(one).empty


def test_steps_that_the_dealer_paced_are_no_law(tmp_path):
    """Their rates say what was dealt, not what workers can do."""
    paced = answer_of(read_recording(write_sweep(tmp_path, waiting=0)))
    assert ["dealer"] == paced.points["limited_by"].unique().tolist()
    assert not paced.is_recommendation
    assert "the dealer set the pace" in paced.limits[0]


def test_a_worker_node_without_samples_is_reckoned_like_the_others(sweep, answer):
    """Its CPU would be missing from the price of every tile."""
    poor = answer_of(without_node(sweep, "worker-2"))
    assert answer.use.workers == pytest.approx(poor.use.workers, rel=0.02)
    assert "worker-2 not sampled: taken to have worked as the others did" in poor.limits


def test_without_the_manager_there_are_no_costs(sweep):
    poor = answer_of(without_node(sweep, "manager"))
    assert poor.is_recommendation
    assert poor.costs.empty
    assert poor.limits[-1].startswith("no costs: expected the CPU of manager and workers")
    assert show_costs(poor).picture is None
    assert show_credits(poor).picture is None


def test_without_any_sample_the_law_still_holds(sweep):
    poor = answer_of(replace(sweep, stats=sweep.stats.iloc[:0]))
    assert poor.is_recommendation
    assert poor.bottleneck is None
    assert poor.costs.empty


def test_an_instance_type_whose_credits_nobody_knows_is_refused(third):
    with pytest.raises(ParameterError, match=r"credits are known; .m5\.large. is not"):
        answer_of(third, instance_type="m5.large")


def test_a_recording_without_rates_has_no_answer_and_no_trials():
    """The first experiment's log was written after its load."""
    first = answer_of(open_recording(str(LOGS / "experiment_1")))
    assert "How many workers to use, this recording does not tell" == summarise(first).headline
    assert try_settings(first, LIGHTS, Objective()).table.empty
    assert describe_idle(first).picture is not None


def test_what_the_autoscaler_made_of_the_third_experiment(third):
    assert "9% saved" in describe_savings(third, 0.02).words
    replayed = replay_recording(third)
    assert 0 == replayed.unexplained
    assert "100.0% of 2146" in replayed.finding.words


def test_trials_begin_with_the_best_and_say_what_they_assume(third):
    trials = try_settings(answer_of(third), LIGHTS, Objective())
    assert trials.table["score_usd"].is_monotonic_increasing
    assert "the load that was recorded; workers each 6 tiles a second" in trials.finding.words
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
        ("empty", "nothing in it is one"),
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
    assert "t2.small" == answer_of(read_recording(folder)).machines.instance_type
