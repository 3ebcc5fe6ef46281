"""
The lab of the tests.
"""

import os
import sys

import pytest

from tests.lab.harness import PROJECT, Lab, Runbook

# the services' package, as in tests/unit/stacks
sys.path.insert(0, str(PROJECT / "stacks/geo-diff/images/geo-diff"))

PLACE = ("test", 5577, "172.29")
SECOND_PLACE = ("test-2", 5578, "172.27")
"""Of the second process, where two run different modules, each on a lab of its own."""
ORDER = [
    "test_runbook",
    "test_registry",
    "test_plans",
    "test_notice_board",
    "test_crash",
    "test_load",
    "test_broker_cluster",
    "test_drills",
    "test_manager_backup",
    "test_tiles_on_s3",
]
"""The modules that use one cluster, in the order in which they build on each other."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    What needs no cluster comes first, and what gives it back comes last.
    """

    def place(item: pytest.Item) -> int:
        name = item.path.stem
        last = len(ORDER) + 1
        return last if name == "test_undo" else (ORDER.index(name) + 1 if name in ORDER else 0)

    items.sort(key=place)  # stable: within a module, the order of the file


@pytest.fixture(scope="session")
def runbook(tmp_path_factory: pytest.TempPathFactory) -> Runbook:
    """
    The runbook on a fresh lab.
    """
    place = SECOND_PLACE if os.environ.get("PYTEST_XDIST_WORKER") == "gw1" else PLACE
    lab = Lab(*place)
    lab.down()
    lab.up()
    yield Runbook(tmp_path_factory.mktemp("runbook"), *place)
    lab.down()


@pytest.fixture(scope="module")
def deployed(runbook: Runbook) -> Runbook:
    """
    The plain cluster, both stacks on it; nothing to do where it is.
    """
    if not runbook.is_deployed:
        runbook.run("--to", "07")
    return runbook
