"""
The account of the tests of `cloud`.
"""

import time

import pytest

from tests.fakes.aws import account
from tests.fakes.lab_endpoint import lab_endpoint


@pytest.fixture
def cloud():
    """A function that gives a client of a service, in an account that exists in memory."""
    with account() as client:
        yield client


@pytest.fixture
def ec2(cloud):
    return cloud("ec2")


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory):
    """The lab's endpoint without machines, one for the session: it takes seconds to start."""
    with lab_endpoint(tmp_path_factory.mktemp("lab")) as endpoint:
        yield endpoint


@pytest.fixture
def lab(endpoint, monkeypatch):
    """The same, without a fault before and after a test; whoever waits waits a tenth as long."""
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(seconds / 10))
    endpoint.faults.disarm()
    yield endpoint
    endpoint.faults.disarm()
