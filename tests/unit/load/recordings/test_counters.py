"""
Sums of counters over containers that restart, go away, and print three digits.
"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook_lib.load.recordings.counters import (
    COUNTERS,
    Unrolled,
    rounding_error,
    total_counters,
    without_restarts,
)
from runbook_lib.load.recordings.schema import SCHEMAS


def samples(*readings, service="worker", container="a", node="worker-1"):
    """One container's samples, ten seconds apart; every counter reads the same."""
    times = pd.date_range("2026-01-15", periods=len(readings), freq="10s", tz="UTC")
    frame = pd.DataFrame(dict.fromkeys(SCHEMAS["stats"].names, np.nan), index=range(len(times)))
    return frame.assign(
        time=times,
        node=node,
        service=service,
        container=container,
        **{name: np.array(readings, dtype=float) for name in COUNTERS},
    )


@pytest.mark.parametrize(
    ("readings", "total", "restarts"),
    [
        ([10, 500, 900], 900, 0),
        ([10, 900, 0], 900, 0),
        ([10, 900, 0, 950], 950, 0),
        ([10, 900, 5, 300], 1200, 1),
        ([10, 900, 0, 5, 300], 1200, 1),
        ([10, 900, 5, 300, 2, 40], 1240, 2),
        ([10, 900, 890, 950], 950, 0),
        ([10, 900, 600, 610, 620, 800], 1700, 1),
        ([10, 900, 600, 610, 610, 950], 950, 0),
        ([10, 900, 600, 610, 620, 800, 500, 510, 520, 530], 2230, 2),
        ([0, 0, 0], 0, 0),
        ([10, np.nan, 900], 900, 0),
    ],
    ids=[
        "grows",
        "a last row of zero",
        "a zero in between",
        "a restart",
        "a restart after a zero",
        "two restarts",
        "a late line",
        "a restart under heavy traffic",
        "two late lines",
        "two restarts under heavy traffic",
        "idle",
        "a sample without it",
    ],
)
def test_a_container_counts_with_the_highest_reading_of_each_stretch(readings, total, restarts):
    """Zero is no reading; what grows again from a small reading has restarted."""
    row = total_counters(samples(*readings)).iloc[0]
    assert (total, restarts) == (row["net_out_bytes"], row["restarts"])


def test_a_service_is_the_sum_of_its_containers_on_all_nodes():
    """The same short id on two nodes is two containers."""
    stats = pd.concat([samples(1, 5), samples(2, 7, node="worker-2")])
    row = total_counters(stats).iloc[0]
    assert (2, 12) == (row["containers"], row["net_in_bytes"])
    by_node = total_counters(stats, ["service", "node"])
    assert [5, 7] == by_node["net_in_bytes"].tolist()


def test_what_was_not_measured_has_no_total():
    """NaN, never zero."""
    stats = samples(1, 5).assign(block_in_bytes=np.nan)
    assert np.isnan(total_counters(stats)["block_in_bytes"].iloc[0])


def test_rows_out_of_order_are_no_restart():
    """The samples are sorted before their counters are compared."""
    stats = samples(10, 100, 500, 900).iloc[[0, 3, 1, 2]]
    assert [10, 100, 500, 900] == without_restarts(stats)["net_in_bytes"].tolist()


@pytest.mark.parametrize(
    ("value", "digits", "error"),
    [(2_570_000_000, 3, 5_000_000), (999, 3, 0.5), (1240, 3, 5), (0, 3, 0), (1240, None, 0)],
)
def test_the_error_of_rounding_is_half_of_the_last_digit(value, digits, error):
    """Zero has none, and neither has a counter that was not rounded."""
    assert error == rounding_error(pd.Series([float(value)]), digits).iloc[0]


def one_by_one(owners, readings):
    """The rule, row by row, as the module's docstring says it."""
    counted, state = [], {}
    for owner, reading in zip(owners, readings, strict=True):
        last, peak, before, below = state.get(owner, (0.0, 0.0, 0.0, 0))
        if reading > 0:
            below = 0 if reading >= peak else below + (reading > last)
            if reading < last / 2 or below == 3:
                peak, before, below = 0.0, before + peak, 0
            last, peak = reading, max(peak, reading)
        state[owner] = last, peak, before, below
        counted.append(np.nan if np.isnan(reading) else before + peak)
    return counted


@settings(deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([0, np.nan, 1, 2, 3, 5, 45, 60, 100])),
        min_size=1,
    ),
    cut=st.integers(0, 100),
)
def test_blocks_count_as_the_rule_says_row_by_row(rows, cut):
    """Wherever a long recording is cut into blocks."""
    owners, readings = np.array([r[0] for r in rows]), np.array([float(r[1]) for r in rows])
    unrolled = Unrolled()
    counted = [
        *unrolled.add(owners[:cut], readings[:cut])[0],
        *unrolled.add(owners[cut:], readings[cut:])[0],
    ]
    np.testing.assert_array_equal(one_by_one(owners, readings), counted)
