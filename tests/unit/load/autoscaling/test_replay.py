"""
Recorded decisions decided again: the authors' versions, told apart by how they differ.
"""

import numpy as np
import pandas as pd
import pytest

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.load.autoscaling import replay as replays
from runbook_lib.load.autoscaling.replay import replay, show_replay
from runbook_lib.load.recordings.schema import Recording, empty_frame
from runbook_lib.load.recordings.source import read_published_logs
from tests.places import LOGS

EXPERIMENT_3 = LOGS / "experiment_3"
RULES = {"qty_task": 15, "min_scale": 6, "max_scale": 12}


def recording(rates, *, start=8, version="later", running_behind=0, **experiment):
    """What the authors' autoscaler records: `earlier` keeps its GREYs, `later` counts anew."""
    desired, greys, rows = start, 0, []
    times = pd.date_range("2021-01-01T10:00Z", periods=len(rates), freq="2s")
    light = "GREEN"
    for time, rate in zip(times, rates, strict=True):
        running = desired - running_behind
        load = rate / (running * 15)
        if not np.isnan(rate):
            bounds = {"GREY": 0.2, "GREEN": 0.5, "YELLOW": 0.7}
            light = next((name for name, bound in bounds.items() if load < bound), "RED")
        greys = greys + 1 if light == "GREY" else 0
        step = {"YELLOW": 1, "RED": 2}.get(light, 0)
        if greys >= 3:
            step, greys = -1, 0 if version == "later" else greys
        if 6 <= desired + step <= 12:
            desired += step
        rows.append((time, rate, load, light, float(running), float(desired)))
    columns = ["time", "published_per_s", "load", "light", "running", "wanted"]
    return Recording("x", autoscaler=pd.DataFrame(rows, columns=columns), experiment=experiment)


def why(found):
    table = found.differences
    return dict(zip(table["why"], table["decisions"], strict=True))


@pytest.fixture(scope="module")
def experiment_3():
    """The authors' own log: 8 to 12 workers, a decision a second."""
    return read_published_logs(EXPERIMENT_3)


def test_experiment_3_is_reproduced(experiment_3):
    """All 2,146 decisions that had a broker, and the 23 among them that change the replicas."""
    found = replay(experiment_3)
    assert 1.0 == found.share == found.alone_share
    assert (2146, 23) == (len(found.compared), len(found.changes))
    assert {replays.NO_BROKER: 16} == why(found)


@pytest.mark.parametrize("wrong", [{"qty_task": 20}, {"max_scale": 10}, {"green": 0.6}])
def test_other_rules_do_not_reproduce_it(experiment_3, wrong):
    """The agreement is no accident of a test that always agrees."""
    found = replay(experiment_3, **wrong)
    assert 1.0 > found.share
    assert found.alone_share < 1.0


def test_one_difference_in_thousands_is_not_all_of_them():
    """2,999 of 3,000 round to 100.0 %."""
    seen = recording([60.0] * 3001, start=9).autoscaler.assign(running=9.0, wanted=9.0)
    seen.loc[3000, "wanted"] = 10.0
    words = show_replay(Recording("x", autoscaler=seen, experiment=RULES)).words
    assert words.startswith("99.9% of 3000 recorded decisions")


def test_the_earlier_version_keeps_its_greys():
    found = replay(recording([0.0] * 9, start=12, version="earlier"), **RULES)
    assert 1.0 == found.share
    assert {replays.ALONE: 1} == why(found)


def test_the_later_version_counts_three_more_greys():
    """GREY 3, 6 and 9 take one away each; the policy also takes one at 4, 5, 7 and 8."""
    found = replay(recording([0.0] * 9, start=12), **RULES)
    assert 4 == why(found)[replays.COUNTED_AGAIN]
    assert pytest.approx(4 / 8) == found.share


def test_the_authors_take_nothing_beyond_max_scale():
    """RED asks for two where one fits: theirs stays at 11, the policy goes to 12."""
    found = replay(recording([150.0] * 5, start=9), **RULES)
    assert {replays.ALONE: 1, replays.BEYOND_MAX: 4} == why(found)


def test_load_counts_the_running_and_steps_start_from_the_desired():
    """In `Replicas: 8/12` the first number is behind while workers start."""
    found = replay(recording([70.0] * 4, start=8, running_behind=2), **RULES)
    assert 1.0 == found.share


def test_a_number_that_something_else_changed_is_no_decision():
    """Nine, then six that already run, with no scaling in the log."""
    seen = recording([80.0] * 4, start=9).autoscaler.assign(running=9.0, wanted=9.0, light="GREEN")
    seen.loc[2:, ["running", "wanted"]] = 6.0
    found = replay(Recording("x", autoscaler=seen), **RULES | {"qty_task": 30})
    assert {replays.ALONE: 1, replays.CHANGED_OUTSIDE: 1} == why(found)


def test_without_a_broker_the_last_light_goes_on():
    """Theirs goes on adding workers in the dark; none of it is counted for or against."""
    found = replay(recording([70.0, 70.0, np.nan, np.nan], start=6), **RULES)
    assert 2 == sum(why(found).get(name, 0) for name in (replays.HELD_LIGHT, replays.NO_BROKER))
    assert 1 == len(found.compared)


def test_settings_that_are_not_recorded_are_inferred_and_marked():
    """QTY_TASK from rate and LOAD, the bounds from what was reached."""
    idle = recording([60.0, 60.0, 30.0, 60.0])
    found = replay(idle)
    assert 15 == found.rules.qty_task
    assert any("qty_task 15" in text for text in found.assumed)
    assert "qty_task 15" in show_replay(idle).words.partition("assumed: ")[2]


def test_a_restart_stands_alone():
    """After a long silence the counter of GREYs begins anew, with the replicas found there."""
    first, second = (recording([0.0] * 3, start=n, version="earlier").autoscaler for n in (12, 8))
    later = second.assign(time=second["time"] + pd.Timedelta("1h"))
    found = replay(Recording("x", autoscaler=pd.concat([first, later])), **RULES)
    assert {replays.ALONE: 2} == why(found)
    assert 1.0 == found.share


def test_a_recording_without_decisions_is_refused():
    with pytest.raises(NotFoundError, match="decisions of an autoscaler in x"):
        replay(Recording("x", autoscaler=empty_frame("autoscaler")))


def test_a_rule_that_is_none_is_refused():
    with pytest.raises(ParameterError, match="colour are none"):
        replay(recording([0.0] * 3), colour=1)


def test_an_idle_log_does_not_tell_qty_task():
    with pytest.raises(ParameterError, match="qty_task=15"):
        replay(recording([0.0] * 3))
