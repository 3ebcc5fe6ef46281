"""
The verdict on a prediction: every bound is a check, and each can fail.
"""

from dataclasses import replace

import pytest

from runbook_lib.availability.drills.verdict import Prediction, prediction_table, verdict
from runbook_lib.core.errors import CheckFailedError
from tests.unit.availability.drills.test_scorecard import RESULT

PREDICTED = Prediction("the node's engine", 5, 40, 60, web_failed=2)


def test_what_was_predicted_passes_line_by_line():
    assert 7 == len(verdict(PREDICTED, RESULT, 2600))


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
    assert 8 == len(verdict(predicted, replace(RESULT, leader_s=14.9), 2600))
    with pytest.raises(CheckFailedError, match="until another manager led"):
        verdict(predicted, RESULT, 2600)
