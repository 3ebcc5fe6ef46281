"""
Every drill on a plain cluster: it passes and accounts for every tile, it can be interrupted
anywhere, and it refuses an unhealthy cluster or a missing target before anything is broken.

Small measurements; `make drills` makes those of full size. They need a cluster after 00 to 07.
"""

import csv
import json
from itertools import product

import pytest

from runbook_lib.availability.drills.scorecard import (
    BREAKING,
    BROKEN,
    DEALING,
    DRILLS_FOLDER,
    RESTORING,
    SETTLED,
)
from tests.lab.drilling import get_cluster, interrupt, journal, snapshot

pytestmark = [pytest.mark.lab, pytest.mark.availability]

LEAST = 300
SMALL = {"least_tiles": LEAST}
CUT_OFF = {"how": "cut off"}

DRILLS = [("20", {}, 1), ("20", CUT_OFF, 1), ("21", {}, 2), ("22", {}, 2), ("23", {}, 2)]
DRILLS += [("24", {}, 1)]
"""The notebook, its parameters, and the number of its faults."""
EFFECTS = [
    *product(
        [("20", {}), ("20", CUT_OFF), ("21", {}), ("22", {}), ("23", {}), ("24", {})],
        [(DEALING, ""), (BROKEN, ""), (RESTORING, "")],
    ),
    (("21", {}), (BROKEN, "worker hung")),
    (("22", {}), (BROKEN, "updater killed")),
    (("23", {}), (BREAKING, "manager stopped")),
    (("23", {}), (BROKEN, "manager stopped")),
    (("23", {}), (RESTORING, "manager stopped")),
]
"""Where to interrupt: the drill, the phase, and of which fault; "" for its first."""


@pytest.mark.parametrize(("number", "given", "faults"), DRILLS, ids=str)
def test_a_drill_passes_and_accounts_for_every_tile(deployed, number, given, faults):
    """By the files that it leaves: a result for each fault, and a fate for each tile."""
    before = snapshot(deployed)
    page = deployed.run("--only", number, **SMALL, **given)[number]
    folder = sorted(deployed.runs.glob(f"2*/{DRILLS_FOLDER}"))[-1]
    results = {path: json.loads(path.read_text()) for path in folder.glob("*.json")}

    assert "passed" == page["verdict"]
    assert faults == len(results)
    for path, result in results.items():
        fates = list(csv.DictReader(path.with_suffix(".csv").open()))
        assert LEAST <= result["published"] == len({row["tile"] for row in fates})
        assert {"done"} == {row["fate"] for row in fates}
        assert [] == [row for row in fates if row["published"] == row["stored"] == "0"]
        assert (0, 0) == (result["lost"], result["unexplained"])
    assert faults == [line["phase"] for line in journal(folder)].count(SETTLED)
    assert [] == before.differences(snapshot(deployed))


@pytest.mark.parametrize(("drill", "where"), EFFECTS, ids=str)
def test_an_interrupt_leaves_a_healthy_cluster_as_it_was(deployed, drill, where):
    """Nothing is left to restore: neither by the next drill nor by 01 to 07."""
    (number, given), (phase, broke) = drill, where
    interrupt(deployed, number, phase, broke, **SMALL, **given)


@pytest.mark.parametrize("number", ["20", "21"])
def test_a_target_that_does_not_exist_is_refused_before_anything_is_broken(deployed, number):
    before = snapshot(deployed)
    deployed.run("--only", number, code=1, drilled_node="worker-9", **SMALL)

    assert "got 'worker-9'" in deployed.output
    assert [] == journals(deployed)
    assert [] == before.differences(snapshot(deployed))


@pytest.mark.parametrize("number", ["20", "21", "22", "23", "24"])
def test_a_cluster_that_is_not_healthy_is_refused_before_anything_is_broken(deployed, number):
    """A node was drained: the drill's figures would be about another cluster."""
    here = get_cluster(deployed)
    node = next(n for n in here.manager.nodes.list() if at(n, here.instances["worker-3"]))
    spec = node.attrs["Spec"]
    node.update({**spec, "Availability": "drain"})
    try:
        deployed.run("--only", number, code=1, **SMALL)
    finally:
        node.reload()
        node.update(spec)

    assert "node worker-3 is ready and drain" in deployed.output
    assert [] == journals(deployed)


def test_after_all_that_the_steps_find_nothing_to_do(deployed):
    pages = deployed.run("--to", "07")

    assert {"passed"} == {page["verdict"] for page in pages.values()}
    assert [] == [change for page in pages.values() for change in page["changes"]]


def at(node, instance):
    return instance.private_ip in (
        node.attrs["Status"].get("Addr"),
        node.attrs.get("ManagerStatus", {}).get("Addr", "").rpartition(":")[0],
    )


def journals(runbook):
    """The journal of the last run's drills."""
    return journal(sorted(runbook.runs.glob("2*"))[-1] / DRILLS_FOLDER)
