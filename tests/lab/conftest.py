"""
The labs of the tests: each process of pytest has its own, from its first test to its last.
"""

import os
import sys
from collections.abc import Iterator

import pytest

from tests.lab.harness import PROJECT, Lab, Runbook

# the services' package, as in tests/unit/stacks
sys.path.insert(0, str(PROJECT / "stacks/geo-diff/images/geo-diff"))

PLACES = {"gw0": ("test", 5577, "172.29"), "gw1": ("test-2", 5578, "172.27")}
"""The lab of each process: its name, its port and the first half of its network."""
LANES = {
    "walkthrough": [
        "test_runbook",
        "test_registry",
        "test_plans",
        "test_notice_board",
        "test_undo",
    ],
    "measurements": ["test_crash", "test_load", "test_broker_cluster"],
    "drills": ["test_drills"],
    "failovers": ["test_manager_backup", "test_tiles_on_s3"],
}
"""The modules that use one cluster, in the order in which they build on each other. With
`--dist loadgroup`, one process runs the whole lane."""
ELSEWHERE = "measurements"
"""The lane of what needs no cluster: it comes first there."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Put each test into its lane.
    """
    places = {
        module: (lane, number)
        for lane, modules in LANES.items()
        for number, module in enumerate(modules)
    }

    def place(item: pytest.Item) -> tuple[str, int]:
        return places.get(item.path.stem, (ELSEWHERE, -1))

    for item in items:
        item.add_marker(pytest.mark.xdist_group(place(item)[0]))
    items.sort(key=lambda item: place(item)[1])  # stable: within a module, the order of the file


@pytest.fixture(scope="session")
def place() -> tuple[str, int, str]:
    """
    The lab of this process.
    """
    return PLACES[os.environ.get("PYTEST_XDIST_WORKER", "gw0")]


@pytest.fixture(scope="session", autouse=True)
def own_lab(place: tuple[str, int, str]) -> Iterator[None]:
    """
    A fresh lab, whose network keeps the engine for every test until the session's end.
    """
    lab = Lab(*place)
    lab.down()
    lab.up()
    yield
    lab.down()


@pytest.fixture(scope="session")
def runbook(tmp_path_factory: pytest.TempPathFactory, place: tuple[str, int, str]) -> Runbook:
    """
    The runbook on the lab of this process.
    """
    return Runbook(tmp_path_factory.mktemp("runbook"), *place)


@pytest.fixture(scope="module")
def deployed(runbook: Runbook) -> Runbook:
    """
    The plain cluster, both stacks on it; nothing to do where it is.
    """
    if not runbook.is_deployed:
        runbook.run("--to", "07")
    return runbook
