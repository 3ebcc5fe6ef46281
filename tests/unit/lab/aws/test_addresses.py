"""
Public addresses of the lab: the lowest free one, and an error where there is none.
"""

import pytest

from lab.aws.addresses import free_address
from lab.core.errors import LabError


def test_the_lowest_free_address_is_given():
    """Released ones are used again."""
    used = ["10.0.128.1", "10.0.128.3", None]
    assert free_address("10.0.128.0/17", used) == "10.0.128.2"


def test_an_exhausted_pool_is_an_error():
    """With what to do about it."""
    with pytest.raises(LabError, match="release Elastic IPs"):
        free_address("10.0.0.0/30", ["10.0.0.1", "10.0.0.2"])
