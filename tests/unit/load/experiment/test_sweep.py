"""
Rates for the steady state: even, whenever the looks came.
"""

import pandas as pd
import pytest

from runbook_lib.load.experiment.sweep import even_rates


def test_late_looks_give_even_rates_all_the_same():
    looks = [(0.0, 0), (1.4, 140), (2.0, 200), (3.1, 310), (4.0, 400)]
    rates = even_rates(looks, 1.0)
    assert [pytest.approx(100.0)] * 3 == list(rates)
    assert pd.Timestamp(0, tz="UTC") == rates.index[0]


@pytest.mark.parametrize("looks", [[], [(0.0, 5)]])
def test_one_sample_gives_no_rate(looks):
    assert even_rates(looks, 1.0).empty
