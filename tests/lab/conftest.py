"""
The lab of the tests.
"""

import pytest

from tests.lab.harness import Lab, Runbook

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
