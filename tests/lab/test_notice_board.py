"""
A second application beside Geo-Diff, on a cluster where 00 to 07 ran: the notice board.

The tests stand in the order of the steps and build on each other.
"""

import shutil

import pytest

from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.geodiff.browser import fetch
from runbook_lib.hosts import clusters
from runbook_lib.stacks.running.containers import in_stack
from runbook_lib.swarm import membership
from tests.places import NOTICE_BOARD

pytestmark = pytest.mark.lab

FILE = "params/lab-notice-board.yml"
STACK = "notice-board"
PULLED = "  pulled: {image: debian:trixie-slim, command: [sleep, infinity], init: true}\n"
PERSONS = "a-persons-secret"
# the cluster of the tests, where the file has a smaller one of its own
HERE = {"tiles_url": None, "worker_count": 4, "manager_disk_gib": 30, "max_usd_per_hour": 0.15}


@pytest.fixture(scope="module")
def here(runbook):
    """The cluster, with a secret that is a person's."""
    if not runbook.is_deployed:
        runbook.run()
    cluster = clusters.get_cluster(
        runbook.given["cluster"], str(runbook.given["key_file"]), runbook.place
    )
    manager = membership.get_manager(cluster.engines)
    secret = manager.secrets.create(name=PERSONS, data=b"precious")
    yield cluster
    secret.remove()


def test_one_command_takes_it_from_00_to_a_page_on_the_internet(runbook, here):
    """Geo-Diff's cluster has all but the open port and the stack; nothing is asked about tiles."""
    pages = runbook.run(file=FILE, **HERE)
    seen = board_with(here, nodes=6, notices=3)
    changes = {number: {c["action"] for c in page["changes"]} for number, page in pages.items()}

    assert {"passed"} == {page["verdict"] for page in pages.values()}
    assert ["00", "01", "02", "03", "04", "05", "06"] == list(pages)
    assert {"02", "06"} == {number for number, actions in changes.items() if actions}
    assert {"store", "web", "beat", "notices"} <= created(pages["06"])
    assert "1" == seen["release"]
    assert "200 text/html" == fetch(url(here)).kind


def test_the_second_time_says_no_changes_and_what_runs_is_recorded(runbook, here):
    """The one-shot has ended, and is neither waited for nor run again."""
    pages = runbook.run("--only", "06", "13", file=FILE, **HERE, record_s=6)

    assert [] == pages["06"]["changes"]
    assert "passed" == pages["13"]["verdict"]


def test_a_changed_config_updates_the_service_that_mounts_it_and_no_other(runbook, here, tmp_path):
    """And a service is added whose image is pulled, not built."""
    copy = tmp_path / STACK
    shutil.copytree(NOTICE_BOARD, copy)
    notices, stack = copy / "notices.txt", copy / "stack.yml"
    notices.write_text(notices.read_text() + "2026-11-27: A notice more.\n")
    stack.write_text(stack.read_text().replace("\nservices:\n", f"\nservices:\n{PULLED}"))
    given = HERE | {"stack_file": stack}
    changed = runbook.run("--only", "06", file=FILE, **given)["06"]
    services = {c["name"]: c["action"] for c in changed["changes"] if c["what"] == "service"}

    assert {f"{STACK}_notices": "updated", f"{STACK}_pulled": "created"} == services
    assert "A notice more." == board_with(here, nodes=6, notices=4)["notices"][0]["text"]


def test_its_removal_leaves_nothing_of_it_and_all_that_is_anothers(runbook, here):
    """Geo-Diff runs on, a person's secret is where it was, and the port is closed again."""
    stack = {"stack_file": NOTICE_BOARD / "stack.yml", "stack_name": STACK}
    pages = runbook.run("--only", "96", "02", **stack)
    removed, closed = pages["96"], pages["02"]
    manager = membership.get_manager(here.engines)
    kinds = (manager.services, manager.networks, manager.configs, manager.secrets, manager.volumes)
    names = {secret.name for secret in manager.secrets.list()}

    assert f"{STACK}_store" in {change["name"] for change in removed["changes"]}
    assert [] == [item.name for kind in kinds for item in kind.list(filters=in_stack(STACK))]
    assert PERSONS in names
    assert "rabbitmq_password" in names
    assert "notice_board_password" not in names
    assert 1 == len(closed["changes"])
    assert fetch(url(here), timeout_s=3).kind.startswith("no answer")


def created(page):
    names = [c["name"] for c in page["changes"] if c["action"] == "created"]
    return {name.removeprefix(f"{STACK}_") for name in names}


def url(here):
    return f"http://{here.instances['manager'].public_ip}:8090"


def board_with(here, *, nodes, notices):
    """The board, once so many nodes report and so many notices are on it."""

    def probe():
        seen = fetch(f"{url(here)}/board.json").content
        reporting = [n for n in seen.get("nodes", ()) if n["state"] == "reports"]
        found = (len(reporting), len(seen.get("notices", ())))
        return seen if found == (nodes, notices) else Pending(f"{found[0]} nodes, {found[1]}")

    return wait_for("The board", probe, timeout_s=60, poll_s=1)
