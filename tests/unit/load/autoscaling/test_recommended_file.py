"""
The recommended parameter file: whole, checked, and taken by the runner as it is.
"""

import pytest
import yaml

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.geodiff.service_modules import service_module
from runbook_lib.load.analysis.sizing import find_sizing
from runbook_lib.load.autoscaling.recommended_file import (
    PARAMETERS,
    agreement,
    recommend,
    with_best_qty_task,
    write_parameters,
    write_recommended,
)
from runbook_lib.load.autoscaling.search import Objective
from runbook_lib.load.autoscaling.trials import SHOWN, try_settings
from runbook_lib.load.recordings.schema import read_recording
from runbook_lib.notebook.templates import find_notebooks
from runbook_lib.runner.values import declared, load, resolve
from tests.fakes.sweep import write_sweep
from tests.places import ROOT

LAB = ROOT / "params" / "lab.yml"
MEASURED = {
    "workers": 6.0,
    "sustained_workers": 2.7,
    "tiles_per_s": 240.0,
    "wait_s": 1.0,
    "refresh_rate_s": 5,
    "reason": "6 workers are within 5 % of the best (95 %: 5 to 7)",
}


@pytest.fixture
def written(tmp_path):
    """The file for the lab."""
    return write_parameters(
        tmp_path / "load" / "recommended.yml", LAB, recommend(**MEASURED), header="From a sweep."
    )


def test_the_runner_takes_it_as_it_is(written):
    """Strictly: every name declared, every type right; nothing of the base is lost."""
    settings = load(written)
    notebooks = find_notebooks(ROOT / "notebooks")
    values = resolve(settings, declared(notebooks), {})
    assert set(load(LAB)) <= set(values)
    assert (2, 6, 240) == (values["min_scale"], values["max_scale"], values["batch"])


def test_each_value_says_why(written):
    text = written.read_text()
    assert text.startswith("# From a sweep.\n")
    assert "# 6 workers are within 5 % of the best (95 %: 5 to 7)" in text


def test_what_is_not_recommended_stays(written):
    before, after = (yaml.safe_load(path.read_text()) for path in (LAB, written))
    kept = set(before) - set(PARAMETERS)
    assert {name: before[name] for name in kept} == {name: after[name] for name in kept}


def test_a_parameter_that_the_base_lacks_is_added(tmp_path):
    base = tmp_path / "base.yml"
    base.write_text("cluster: x\n")
    path = write_parameters(tmp_path / "new.yml", base, {"batch": (7, r"a \1 reason")}, header="x")
    assert {"cluster": "x", "batch": 7} == yaml.safe_load(path.read_text())


def test_it_is_replaced_whole_and_nothing_is_left_beside_it(written):
    write_parameters(written, LAB, {"batch": (9, "again")}, header="Again.")
    assert 9 == yaml.safe_load(written.read_text())["batch"]
    assert [written] == list(written.parent.iterdir())


def test_at_full_work_the_policy_asks_for_more_but_not_for_two():
    """QTY_TASK is set so that workers at their rate show YELLOW."""
    policy = service_module("policy")
    values = {name: value for name, (value, _) in recommend(**MEASURED).items()}
    rules = policy.Rules(values["qty_task"], 2, 6, 240, 50, 50)
    assert "YELLOW" == policy.light_of(policy.load_of(4 * 40.0, 4, rules.qty_task), rules)


def test_without_known_credits_no_number_is_said_to_last():
    """Six workers were said to be sustained for hours, of which nothing was recorded."""
    least, why = recommend(**MEASURED | {"sustained_workers": None})["min_scale"]
    assert (6, "as max_scale: what the CPU credits sustain is unknown") == (least, why)


@pytest.fixture(scope="module")
def sizing(tmp_path_factory):
    sweep = read_recording(write_sweep(tmp_path_factory.mktemp("sweep") / "load"))
    return find_sizing(sweep, instance_type="t2.micro")


@pytest.fixture(scope="module")
def trials(sizing):
    """Sixty simulations of twenty minutes take more than a second, once for these tests."""
    return try_settings(sizing, [0.2, 0.5, 0.7], Objective())


def test_the_recorded_setting_is_one_of_the_trials(trials):
    """The best found cannot cost more than what was recorded."""
    recorded = trials.table[["min_scale", "max_scale", "qty_task", "refresh_rate_s"]]
    assert (4, 8, 50, 5) in list(recorded.itertuples(index=False, name=None))
    assert trials.table["score_usd"].iloc[0] <= trials.price({})


def test_the_file_says_why_it_is_not_the_best_trial(sizing, trials, tmp_path, monkeypatch):
    monkeypatch.setenv("RUNBOOK_RUN_FOLDER", str(tmp_path))
    made = write_recommended(sizing, trials, str(LAB))
    best = trials.table.iloc[0]
    file = made.picture.set_index("parameter")
    assert f"{best['min_scale']:g}" == file.loc["min_scale", "best trial"]
    assert file.loc["min_scale", "recommended"] != file.loc["min_scale", "best trial"]
    assert f"the best trial {best['score_usd']:.2g}: that has min_scale" in made.words
    assert "min_scale: the trials know no CPU credits, which sustain" in made.words


def test_a_file_that_is_the_best_trial_says_so(trials):
    best = {name: (float(trials.table[name].iloc[0]), "") for name in SHOWN}
    assert "It is the best of the trials." == agreement(best, trials, 6.0)


def test_the_recommended_qty_task_does_not_slow_the_dealer(trials):
    """YELLOW at MAX_SCALE lowers BATCH for good: with half the tiles dealt, half are done."""
    yellow = recommend(**MEASURED | {"tiles_per_s": 142.0})
    chosen = with_best_qty_task(yellow, trials)
    prices = [
        trials.price({name: values[name][0] for name in SHOWN}) for values in (yellow, chosen)
    ]
    assert prices[1] < 0.5 * prices[0]
    assert "on paper it costs least within these bounds" in chosen["qty_task"][1]


@pytest.mark.parametrize("name", ["workers", "tiles_per_s"])
@pytest.mark.parametrize("value", [0, float("nan"), float("inf")])
def test_numbers_that_cannot_be_are_refused(name, value):
    with pytest.raises(ParameterError, match=f"{name}: "):
        recommend(**{**MEASURED, name: value})


def test_a_base_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match=r"next: name params/lab\.yml"):
        write_parameters(tmp_path / "x.yml", tmp_path / "no.yml", {}, header="")


def test_other_parameters_are_refused(tmp_path):
    with pytest.raises(ParameterError, match="region"):
        write_parameters(tmp_path / "x.yml", LAB, {"region": (1, "")}, header="")
    assert [] == list(tmp_path.iterdir())


def test_a_value_over_two_lines_is_refused(tmp_path):
    """Its second line would stay behind."""
    base = tmp_path / "base.yml"
    base.write_text("batch:\n  300\n")
    with pytest.raises(ParameterError, match="on a line of its own"):
        write_parameters(tmp_path / "x.yml", base, {"batch": (1, "why")}, header="")
