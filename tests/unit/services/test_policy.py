"""
The autoscaler's policy: each file of tests/data/policy is a case, its name the specification.
"""

import json
import math
from dataclasses import asdict

import pytest
from geodiff.policy import Rules, Seen, decide, load_of
from hypothesis import given
from hypothesis import strategies as st

from tests.places import DATA

CASES = sorted((DATA / "policy").glob("*.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_policy(path):
    """
    What a case expects is decided.
    """
    case = json.loads(path.read_text())
    decision = asdict(decide(Rules(**case["rules"]), Seen(**case["seen"])))
    assert case["expected"] == {
        key: pytest.approx(value) if key == "load" else value
        for key, value in decision.items()
        if key in case["expected"]
    }


def test_load_is_infinite_where_tasks_come_and_nobody_works():
    assert math.inf == load_of(published_per_s=1, running=0, qty_task=15)


@given(
    st.floats(0, 1e6),
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(0, 999),
    st.integers(0, 9),
)
def test_no_decision_leaves_the_bounds(published_per_s, running, desired, batch, greys):
    """
    Whatever was measured and whatever an operator had set by hand.
    """
    rules = Rules(qty_task=15, min_scale=2, max_scale=12, batch=300, min_batch=50, batch_step=50)
    decision = decide(rules, Seen(published_per_s, running, desired, batch, greys))
    assert 2 <= decision.replicas <= 12
    assert 50 <= decision.batch <= 300
