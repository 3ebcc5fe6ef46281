"""
The way back: the web stack alone, then the undo family, then nothing is left.

The tests stand in the order of the steps and build on each other.
"""

from itertools import pairwise
from pathlib import Path

import pytest

from runbook_lib.geodiff.browser import fetch
from tests.lab.harness import asked_all_the_time, open_and_paste

pytestmark = pytest.mark.lab

UNDO = ["95", "94", "93", "92", "91"]


@pytest.fixture(scope="module", autouse=True)
def deployed(runbook):
    """Everything is there."""
    if not runbook.is_deployed:
        runbook.run()


def test_the_web_stack_is_taken_back_and_the_work_stack_runs_on(runbook):
    """The Swarm has one manager again, and the registry stays with the work stack."""
    first = runbook.run("--only", "97")["97"]
    again = runbook.run("--only", "97", "06")

    done = [change["action"] for change in first["changes"] if change["name"] == "admin-web"]
    assert ["demoted to worker", "left the Swarm", "removed"] == done
    assert "registry_registry" not in {change["name"] for change in first["changes"]}
    assert [] == again["97"]["changes"]
    assert [] == again["06"]["changes"]


def test_the_web_stack_stays_up_while_the_work_stack_is_redeployed_and_removed(runbook):
    """Every tile that is asked for in that time comes."""
    page, token = open_and_paste(runbook.run("--only", "07")["07"]["notes"])
    tiles = fetch(f"{page}/config.json").content["tiles_url"]
    world = f"{tiles}/OCEAN-SEA/2004-01-15/0/0/0"

    with asked_all_the_time(world, {"Authorization": f"Bearer {token}"}) as answers:
        redeployed = runbook.run("--only", "06", batch=250, wait_s=2.5)["06"]
        removed = runbook.run("--only", "96")["96"]

    assert "updated" in {change["action"] for change in redeployed["changes"]}
    assert "geo-diff-work_worker" in {change["name"] for change in removed["changes"]}
    assert len(answers) > 100
    assert {"200 image/png"} == set(answers)


def test_without_the_work_stack_there_is_none_to_remove_and_the_web_stack_deploys_again(runbook):
    again = runbook.run("--only", "96", "07")

    assert [] == again["96"]["changes"]
    assert [] == again["07"]["changes"]


@pytest.fixture(scope="module")
def undone(runbook):
    """The pages of each undo: the first time, and once more before the next one."""
    pages = {number: [] for number in UNDO}
    for numbers in pairwise(["", *UNDO, ""]):
        for number, page in runbook.run("--only", *filter(None, numbers)).items():
            pages[number].append(page)
    return pages


@pytest.mark.parametrize("number", UNDO)
def test_an_undo_undoes_and_is_happy_the_second_time(undone, number):
    first, second = undone[number]

    assert first["changes"]
    assert [] == second["changes"]


def test_teardown_of_a_cluster_that_is_half_built_leaves_nothing_that_is_tagged(runbook):
    """EC2 is asked once more, by other means than the notebook's."""
    runbook.run("--to", "02", worker_count=1)
    runbook.run("--only", "90")
    ec2 = runbook.ec2()
    ours = [{"Name": "tag:runbook:cluster", "Values": [str(runbook.given["cluster"])]}]
    found = [
        i for r in ec2.describe_instances(Filters=ours)["Reservations"] for i in r["Instances"]
    ]

    assert {"terminated"} == {i["State"]["Name"] for i in found}
    assert [] == ec2.describe_volumes(Filters=ours)["Volumes"]
    assert [] == ec2.describe_security_groups(Filters=ours)["SecurityGroups"]
    assert [] == ec2.describe_key_pairs(Filters=ours)["KeyPairs"]
    assert not Path(runbook.given["key_file"]).exists()
