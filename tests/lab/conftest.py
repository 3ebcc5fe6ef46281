"""
The labs of the tests: each process of pytest has its own, from its first test to its last.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.lab.harness import PROJECT, Lab, Runbook

# the services' package, as in tests/unit/stacks
sys.path.insert(0, str(PROJECT / "stacks/geo-diff/images/geo-diff"))

PLACES = {"gw0": ("test", 5577, "172.29"), "gw1": ("test-2", 5578, "172.27")}
"""The lab of each process: its name, its port and the first half of its network."""
NO_LAB, NO_CLUSTER = "no lab", "no cluster"
LANES = {
    "cluster": [
        "test_runbook",
        "test_registry",
        "test_plans",
        "test_notice_board",
        "test_crash",
        "test_load",
        "test_undo",
    ],
    "drills": ["test_drills"],
    "failovers": ["test_manager_backup", "test_tiles_on_s3"],
    NO_LAB: [],
    NO_CLUSTER: ["test_planning", "test_scalars", "test_stack_deploy"],
}
"""The modules of each lane, in the order in which they build on each other; the lanes, in the order
in which processes take them. Each has one cluster: to build a second one for some of these modules
takes longer, on two cores, than it saves. Those of `NO_CLUSTER` that are named come after all that
needs no lab: they need Docker's command line, which a fresh machine has from the first lab."""
PLACE_IN_LANE = {
    module: (lane, number)
    for lane, modules in LANES.items()
    for number, module in enumerate(modules)
}


def place_in_lane(path: Path) -> tuple[str, int]:
    """
    Return the lane of a module, and its number there.
    """
    other = NO_CLUSTER if path.parent.name in ("lab", "browser") else NO_LAB
    return PLACE_IN_LANE.get(path.stem, (other, -1))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Sort the lanes, and the modules of each; within a module, the order of the file stays.
    """

    def key(item: pytest.Item) -> tuple[int, int]:
        lane, number = place_in_lane(item.path)
        return list(LANES).index(lane), number

    items.sort(key=key)


class Lanes(LoadScopeScheduling):
    """
    A lane is what one process runs whole. xdist's own groups have no effect with pytest 9.
    """

    def _split_scope(self, nodeid: str) -> str:
        return place_in_lane(PROJECT / nodeid.partition("::")[0])[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes | None:
    """
    Run lanes where the command line asks for whole scopes.
    """
    return Lanes(config, log) if config.getvalue("dist") == "loadscope" else None


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
