"""
The seconds of a drill: from Swarm's task history, and from the tiles that were finished.
"""

from datetime import UTC, datetime, timedelta

import pandas as pd

from runbook_lib.availability.drills.times import (
    Replacement,
    find_replacement,
    measure_recovery,
)

BEGAN = datetime(2026, 1, 2, 3, 4, 0, tzinfo=UTC)


def at(seconds):
    return BEGAN + timedelta(seconds=seconds)


def task(name, made, state, since, slot=1, desired=None):
    """A task of Swarm's history; times are seconds."""
    return {
        "ID": name,
        "ServiceID": "worker",
        "Slot": slot,
        "CreatedAt": at(made).isoformat().replace("+00:00", ".000000123Z"),
        "DesiredState": desired or ("running" if state == "running" else "shutdown"),
        "Status": {"State": state, "Timestamp": at(since).isoformat()},
    }


def history(tasks):
    return {task["ID"]: task for task in tasks}


def rates(*tiles_per_s):
    times = pd.date_range(BEGAN, periods=len(tiles_per_s), freq="s")
    return pd.DataFrame({"time": times, "tiles_per_s": [float(r) for r in tiles_per_s]})


def measured(*tiles_per_s, broke=10, replaced=14):
    return measure_recovery(
        rates(*tiles_per_s), at(0), at(broke), at(replaced), at(len(tiles_per_s))
    )


def test_a_task_that_failed_has_its_end_and_its_successor():
    tasks = [task("a", 0, "failed", 30), task("b", 31, "running", 35)]

    assert Replacement(at(30), at(31), at(35)) == find_replacement(history(tasks), ["a"])


def test_a_task_on_a_dead_node_never_ends_and_is_replaced_all_the_same():
    tasks = [task("a", 0, "running", 5, desired="shutdown"), task("b", 31, "running", 35)]
    replacement = find_replacement(history(tasks), ["a"])

    assert (None, at(35)) == (replacement.ended, replacement.running)


def test_of_several_failed_tasks_the_last_one_counts():
    tasks = [
        task("a", 0, "failed", 30),
        task("b", 0, "failed", 31, slot=2),
        task("c", 32, "running", 36),
        task("d", 33, "running", 44, slot=2),
    ]
    replacement = find_replacement(history(tasks), ["a", "b"])

    assert (at(30), at(44)) == (replacement.ended, replacement.running)


def test_while_one_is_not_replaced_none_is():
    tasks = [task("a", 0, "failed", 30), task("b", 0, "failed", 31, slot=2)]
    replacement = find_replacement(history([*tasks, task("c", 32, "running", 36)]), ["a", "b"])

    assert (None, None) == (replacement.rescheduled, replacement.running)


def test_a_successor_that_failed_too_is_no_replacement_until_the_next_one_runs():
    tasks = [task("a", 0, "failed", 30), task("b", 31, "failed", 33), task("c", 36, "running", 40)]

    assert at(40) == find_replacement(history(tasks), ["a"]).running


def test_a_task_of_another_slot_is_no_successor():
    tasks = [task("a", 0, "failed", 30), task("b", 31, "running", 35, slot=2)]

    assert find_replacement(history(tasks), ["a"]).running is None


def test_throughput_that_never_fell_recovered_at_once():
    recovery = measured(*[40] * 30)

    assert (40.0, 0.0, 0.0) == (recovery.steady_per_s, recovery.recovered_s, recovery.pause_s)


def test_a_pause_is_measured_and_recovery_is_when_five_good_seconds_follow():
    recovery = measured(*[40] * 10, *[0] * 6, *[40] * 20)

    assert (6.0, 6.0) == (recovery.pause_s, recovery.recovered_s)


def test_a_moment_at_the_old_throughput_is_no_recovery():
    recovery = measured(*[40] * 10, *[0] * 3, *[200], *[0] * 6, *[40] * 20, replaced=18)

    assert 10.0 == recovery.recovered_s


def test_of_two_dips_before_the_replacement_runs_the_last_one_counts():
    recovery = measured(*[40] * 10, *[0] * 2, *[40] * 12, *[0] * 6, *[40] * 20, replaced=31)

    assert 20.0 == recovery.recovered_s


def test_throughput_that_stays_low_has_no_recovery():
    assert measured(*[40] * 10, *[20] * 20).recovered_s is None


def test_a_dip_long_after_the_replacement_has_another_cause():
    assert 0.0 == measured(*[40] * 40, *[0] * 5, *[40] * 10, replaced=12).recovered_s


def test_seconds_without_a_row_are_seconds_without_tiles():
    whole = rates(*[40] * 10, *[0] * 6, *[40] * 20)
    gaps = whole[whole["tiles_per_s"] > 0]

    assert 6.0 == measure_recovery(gaps, at(0), at(10), at(14), at(36)).pause_s
