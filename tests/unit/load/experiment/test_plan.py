"""
What a load test will do is worked out, and refused, before anything is touched.
"""

from collections import Counter

import pytest

from runbook_lib.core.errors import ParameterError
from runbook_lib.load.experiment.plan import plan, sweep_table

PARAMETERS = {
    "batch": 300,
    "wait_s": 1.0,
    "qty_task": 50,
    "refresh_rate_s": 5,
    "min_scale": 4,
    "max_scale": 8,
    "replicas": ["1", "2", 4, "8"],
    "repetitions": 3,
    "step_s": 60.0,
    "limit_s": 3000.0,
    "sample_period_s": 1.0,
    "worker_cpus": 0.0,
    "seed": 1,
}


def test_each_repetition_has_every_count_once():
    steps = plan(PARAMETERS).steps()
    assert list(range(12)) == [step.number for step in steps]
    for repetition in range(3):
        counts = [step.replicas for step in steps if step.repetition == repetition]
        assert Counter([1, 2, 4, 8]) == Counter(counts)


def test_the_order_is_shuffled_and_the_same_for_the_same_seed():
    orders = {
        seed: [step.replicas for step in plan(PARAMETERS | {"seed": seed}).steps()]
        for seed in range(6)
    }
    assert orders[1] == [step.replicas for step in plan(PARAMETERS).steps()]
    assert len({tuple(order) for order in orders.values()}) > 1


def test_without_counts_the_autoscaler_decides():
    experiment = plan(PARAMETERS | {"replicas": []})
    assert [] == experiment.steps()
    assert "no" == experiment.variables["HOLD"]
    assert ["autoscaled 4..8"] == list(sweep_table(experiment)["replicas"])
    assert [180.0] == list(sweep_table(experiment)["seconds"])


def test_a_sweep_holds_the_autoscaler():
    assert "yes" == plan(PARAMETERS).variables["HOLD"]


def test_there_are_more_tiles_than_the_dealer_can_deal():
    experiment = plan(PARAMETERS)
    assert experiment.most_tiles > 300 * experiment.planned_s


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"replicas": ["2", "2"]}, "names a count twice"),
        ({"min_scale": 9}, "min_scale 9 is above 8"),
        ({"limit_s": 300.0}, "limit_s 300 is less than"),
        ({"step_s": 20.0}, "too short to find the warm-up"),
    ],
)
def test_what_does_not_go_together_is_refused(wrong, message):
    with pytest.raises(ParameterError, match=message):
        plan(PARAMETERS | wrong)


def test_all_that_is_wrong_is_named_at_once():
    with pytest.raises(ParameterError) as raised:
        plan(PARAMETERS | {"min_scale": 9, "step_s": 20.0})
    assert "min_scale" in str(raised.value)
    assert "step_s" in str(raised.value)
