"""
The scorecard: one row a drill, fault and set of solutions; the newest counts. The verdict on a
prediction: every bound is a check, and each can fail.
"""

from dataclasses import replace

import pandas as pd
import pytest

from runbook_lib.availability.drills.scorecard import (
    GUIDE_ALONE,
    DrillResult,
    Prediction,
    Scorecard,
    find_results,
    prediction_table,
    result_table,
    verdict,
    write_result,
)
from runbook_lib.core.activity import ACTIVITY
from runbook_lib.core.errors import CheckFailedError
from runbook_lib.core.project import FOLDER_VARIABLE

RESULT = DrillResult(
    drill="24_broker_fails",
    broke="rabbitmq killed",
    solutions=(),
    broke_at="2026-01-02T03:04:05+00:00",
    noticed_by="the node's engine",
    noticed_s=0.4,
    leader_s=None,
    rescheduled_s=0.5,
    back_s=12.0,
    recovered_s=18.0,
    steady_per_s=40.1,
    pause_s=15.0,
    published=2600,
    done=2600,
    rejected=0,
    lost=0,
    unexplained=0,
    published_twice=1,
    delivered_twice=12,
    done_twice=3,
    web_asked=300,
    web_failed={"page": 0, "tiles": 2},
)


FATES = pd.DataFrame({"tile": ["3000-01-01/0/0/0"], "fate": ["done"]})


@pytest.fixture
def write(monkeypatch):
    """Writes a result as a drill in the run of that folder."""

    def into(result, run):
        monkeypatch.setenv(FOLDER_VARIABLE, str(run))
        return write_result(result, FATES)

    return into


def test_a_result_is_read_as_it_was_written(write, tmp_path):
    write(RESULT, tmp_path / "run")

    assert [RESULT] == find_results(tmp_path)


def test_the_newest_of_all_runs_counts(write, tmp_path):
    newer = replace(RESULT, broke_at="2026-01-02T04:04:05+00:00", lost=1)
    write(newer, tmp_path / "a")
    write(RESULT, tmp_path / "b")

    assert [newer] == find_results(tmp_path)


def test_before_and_after_a_solution_are_two_rows(write, tmp_path):
    after = replace(RESULT, solutions=("rabbitmq-cluster",), pause_s=1.0)
    write(after, tmp_path / "a")
    write(RESULT, tmp_path / "b")

    shown = result_table(find_results(tmp_path))

    assert [GUIDE_ALONE, "rabbitmq-cluster"] == list(shown["with"])
    assert ["15.0", "1.0"] == list(shown["longest pause, s"])


def test_two_faults_of_one_drill_are_two_rows(write, tmp_path):
    write(RESULT, tmp_path / "a")
    write(replace(RESULT, broke="rabbitmq hung"), tmp_path / "a")

    assert ["rabbitmq hung", "rabbitmq killed"] == list(
        result_table(find_results(tmp_path))["fault"]
    )


def test_what_never_happened_is_shown_in_words():
    assert (
        "never"
        == result_table([replace(RESULT, recovered_s=None)])["throughput recovered, s"].iloc[0]
    )


def test_failed_requests_of_page_and_tiles_are_summed():
    assert "2 of 300" == result_table([RESULT])["failed web requests"].iloc[0]


def test_a_file_of_another_form_is_no_result(write, tmp_path):
    folder = write(RESULT, tmp_path / "a").parent
    (folder / "20_other.json").write_text('{"drill": "20_other"}')
    (folder / "20_broken.json").write_text("{")

    assert [RESULT] == find_results(tmp_path)


def test_the_scorecard_says_what_it_shows():
    after = replace(RESULT, solutions=("rabbitmq-cluster",), pause_s=1.0, lost=2)

    assert (
        "2 faults, 2 of 5,200 tiles lost; longest pause 15 s: rabbitmq killed (as in the guide)"
    ) == Scorecard([RESULT, after]).finding
    assert "no drill yet" == Scorecard([]).finding


def test_only_a_fault_of_the_leader_has_a_new_leader():
    shown = result_table([RESULT, replace(RESULT, leader_s=12.34)])

    assert ["", "12.3"] == list(shown["new leader, s"])


PREDICTED = Prediction("the node's engine", 5, 40, 60, web_failed=2)


def test_what_was_predicted_passes_line_by_line():
    ACTIVITY.checks.clear()
    verdict(PREDICTED, RESULT, 2600)
    assert 7 == len(ACTIVITY.checks)


@pytest.mark.parametrize(
    "figures",
    [
        {"lost": 1},
        {"published": 2599},
        {"noticed_by": "admin-worker, by KEEP_ALIVE"},
        {"noticed_s": 5.1},
        {"noticed_s": None},
        {"back_s": 41.0},
        {"recovered_s": None},
        {"web_failed": {"page": 3}},
    ],
    ids=" ".join,
)
def test_each_line_can_fail(figures):
    with pytest.raises(CheckFailedError, match="rabbitmq killed"):
        verdict(PREDICTED, replace(RESULT, **figures), 2600)


def test_the_prediction_is_a_table_of_bounds():
    assert 40 == prediction_table({"killed": PREDICTED}).loc["killed", "back_s"]


def test_a_leader_is_checked_only_where_one_fails():
    predicted = replace(PREDICTED, leader_s=15.0)

    assert "leader_s" not in prediction_table({"killed": PREDICTED})
    ACTIVITY.checks.clear()
    verdict(predicted, replace(RESULT, leader_s=14.9), 2600)
    assert 8 == len(ACTIVITY.checks)
    with pytest.raises(CheckFailedError, match="until another manager led"):
        verdict(predicted, RESULT, 2600)
