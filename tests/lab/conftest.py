"""
The lab of the tests.
"""

import sys

import pytest

from tests.lab.harness import PROJECT, Lab, Runbook

# the services' package, as in tests/unit/stacks
sys.path.insert(0, str(PROJECT / "stacks/geo-diff/images/geo-diff"))

PLACE = ("test", 5577, "172.29")


@pytest.fixture(scope="session")
def runbook(tmp_path_factory: pytest.TempPathFactory) -> Runbook:
    """
    The runbook on a fresh lab.
    """
    lab = Lab(*PLACE)
    lab.down()
    lab.up()
    yield Runbook(tmp_path_factory.mktemp("runbook"), *PLACE)
    lab.down()
