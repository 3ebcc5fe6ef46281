"""
The account of the tests of `cloud`.
"""

import pytest

from tests.fakes.aws import account


@pytest.fixture
def cloud():
    """A function that gives a client of a service, in an account that exists in memory."""
    with account() as client:
        yield client


@pytest.fixture
def ec2(cloud):
    return cloud("ec2")
