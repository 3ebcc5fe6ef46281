"""
The scorecard: one row a drill, break and set of solutions; the newest counts.
"""

from dataclasses import replace

from runbook_lib.availability.drills.scorecard import (
    PLAIN,
    Result,
    Scorecard,
    find_results,
    table,
    write,
)

RESULT = Result(
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


def test_a_result_is_read_as_it_was_written(tmp_path):
    write(RESULT, tmp_path / "run")

    assert [RESULT] == find_results(tmp_path)


def test_the_newest_of_all_runs_counts(tmp_path):
    newer = replace(RESULT, broke_at="2026-01-02T04:04:05+00:00", lost=1)
    write(newer, tmp_path / "a")
    write(RESULT, tmp_path / "b")

    assert [newer] == find_results(tmp_path)


def test_before_and_after_a_solution_stand_below_each_other(tmp_path):
    after = replace(RESULT, solutions=("rabbitmq-cluster",), pause_s=1.0)
    write(after, tmp_path / "a")
    write(RESULT, tmp_path / "b")

    shown = table(find_results(tmp_path))

    assert [PLAIN, "rabbitmq-cluster"] == list(shown["with"])
    assert ["15.0", "1.0"] == list(shown["longest pause, s"])


def test_two_breaks_of_one_drill_are_two_rows(tmp_path):
    write(RESULT, tmp_path / "a")
    write(replace(RESULT, broke="rabbitmq hung"), tmp_path / "a")

    assert ["rabbitmq hung", "rabbitmq killed"] == list(table(find_results(tmp_path))["failure"])


def test_what_never_came_is_said_in_words():
    assert "never" == table([replace(RESULT, recovered_s=None)])["old throughput, s"].iloc[0]


def test_failed_requests_of_both_doors_are_summed():
    assert "2 of 300" == table([RESULT])["web requests failed"].iloc[0]


def test_a_file_of_another_form_is_no_result(tmp_path):
    folder = write(RESULT, tmp_path / "a").parent
    (folder / "20_other.json").write_text('{"drill": "20_other"}')
    (folder / "20_broken.json").write_text("{")

    assert [RESULT] == find_results(tmp_path)


def test_the_scorecard_says_what_it_shows():
    after = replace(RESULT, solutions=("rabbitmq-cluster",), pause_s=1.0, lost=2)

    assert (
        "2 breaks, 2 of 5,200 tiles lost; work stood still longest, 15 s, "
        "with rabbitmq killed (as the guide has it)"
    ) == Scorecard([RESULT, after]).finding
    assert "no drill yet" == Scorecard([]).finding


def test_only_who_lost_a_leader_has_a_new_one():
    shown = table([RESULT, replace(RESULT, leader_s=12.34)])

    assert ["", "12.3"] == list(shown["new leader, s"])
