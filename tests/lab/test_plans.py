"""
A plan says exactly what a deployment does: changes of two applications, planned, made and compared.

Each change comes on top of those before it. It is planned, its steps are those written here, and
after the deployment every service is as announced, all else is untouched, and a second plan is
empty.
"""

import re
import time
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import pytest
import yaml

from runbook_lib.hosts.clusters import Cluster
from runbook_lib.stacks import images, removal
from runbook_lib.stacks.building import builds
from runbook_lib.stacks.compose import overlays, reading, stack_file
from runbook_lib.stacks.deploy import plan_stack
from runbook_lib.stacks.deployment import secrets
from runbook_lib.stacks.deployment.live_stack import LiveStack
from runbook_lib.stacks.deployment.plan import (
    CREATED,
    REMOVED,
    RESTARTED,
    UPDATED,
    Plan,
    Step,
)
from runbook_lib.stacks.deployment.planning import apply
from runbook_lib.stacks.running.containers import in_stack
from runbook_lib.swarm import membership
from tests.lab.harness import PROJECT

pytestmark = [pytest.mark.lab, pytest.mark.plans]


@dataclass
class Site:
    """
    A stack on its way to a Swarm.
    """

    here: Cluster
    manager: Any
    name: str
    stack: stack_file.StackFile
    images: dict[str, str]

    def change(self, patch: dict[str, Any]) -> None:
        """
        Change the stack file; null removes.
        """
        first, *more = self.stack.documents
        documents = (overlays.merged(first, patch), *more)
        content = overlays.merged(self.stack.content, patch)
        self.stack = replace(self.stack, documents=documents, content=content)

    def plan(self) -> Plan:
        return plan_stack(self.here, self.manager, self.stack, self.name, images=self.images)

    def live(self) -> dict[str, Any]:
        """
        Everything that the stack has in the Swarm, by name, as Docker tells it.
        """
        own = in_stack(self.name)
        client = self.manager
        listed = [*client.services.list(filters=own), *client.configs.list(filters=own)]
        listed += client.secrets.list(filters=own)
        networks = {str(n.name): n.id for n in client.networks.list(filters=own)}
        return networks | {item.attrs["Spec"]["Name"]: item.attrs["Spec"] for item in listed}

    def tasks(self) -> dict[str, set[str]]:
        """
        The tasks that shall run, by service.
        """
        names = {s.id: s.attrs["Spec"]["Name"] for s in self.manager.services.list()}
        found = defaultdict(set)
        for task in self.manager.api.tasks({"desired-state": ["running", "ready", "accepted"]}):
            found[names.get(task["ServiceID"], "")].add(task["ID"])
        return found

    def ended(self) -> set[str]:
        """
        The tasks that failed or were done.
        """
        states = ("failed", "rejected", "complete")
        return {t["ID"] for t in self.manager.api.tasks() if t["Status"]["State"] in states}

    def updating(self) -> set[str]:
        """
        The services that an earlier change still updates.
        """
        services = [service.attrs for service in self.manager.services.list()]
        states = {s["Spec"]["Name"]: s.get("UpdateStatus", {}).get("State") for s in services}
        return {name for name, state in states.items() if state == "updating"}


def deploy_as_announced(site: Site, expected: dict[str, str] | None) -> None:
    """
    Plan, deploy, and compare: what was announced happened, and nothing else.

    `expected` is the action for each service, or `config site` and the like; None accepts any.
    """
    plan = site.plan()
    if expected is not None:
        told = {title(step, site.name): step.action for step in plan.steps}
        assert expected == told, repr(plan)
    before, tasks, updating = site.live(), site.tasks(), site.updating()
    apply(site.here.connections["manager"], site.manager, plan)
    after, live = site.live(), LiveStack(site.manager, site.name)

    trees = {spec["Name"]: live.tree(spec) for spec in live.services.values()}
    assert without_new_ids(plan.wanted) == without_new_ids(trees)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert {step.name for step in plan.steps} == changed
    assert site.plan().is_empty, repr(site.plan())

    restarted = {step.name for step in plan.steps if step.action == RESTARTED}
    ran = [step.name for step in plan.steps if step.action == RESTARTED and step.tasks]
    deadline = time.monotonic() + 30
    while waiting := [name for name in ran if not site.tasks()[name] - tasks[name]]:
        assert time.monotonic() < deadline, f"no new task: {waiting}"
        time.sleep(0.2)
    now, ended = site.tasks(), site.ended()
    moved = {step.name: step.tasks for step in plan.steps if step.action == UPDATED}
    for name in (tasks.keys() & after.keys()) - restarted - updating:
        # the same tasks, but those that ended by themselves, or some where there shall be fewer
        lost = tasks[name] - now[name] - ended
        fewer = name in changed and len(now[name]) < len(tasks[name])
        fewer = fewer or len(lost) <= moved.get(name, 0)
        assert not lost or fewer, f"{name}: {lost} ended, and no restart was announced"


def title(step: Step, stack: str) -> str:
    """
    The name of a step in the file; configs and secrets carry a hash in the Swarm.
    """
    name = re.sub(r"_[0-9a-f]{12}$", "", step.name.removeprefix(f"{stack}_"))
    return name if step.what == "service" else f"{step.what} {name}"


def without_new_ids(trees: dict[str, Any]) -> dict[str, Any]:
    """
    The ids of configs and secrets that a plan creates are known after it only.
    """
    if not isinstance(trees, dict):
        return trees
    ids = ("SecretID", "ConfigID")
    return {key: without_new_ids(inner) for key, inner in trees.items() if key not in ids}


def service(name: str, **patch: object) -> dict[str, Any]:
    return {"services": {name: patch}}


def deployed(name: str, **patch: object) -> dict[str, Any]:
    return service(name, deploy=patch)


GEO_DIFF = [
    # first of all, so that the autoscaler changes nothing meanwhile
    (service("admin-worker", environment={"HOLD": "yes"}), {"admin-worker": RESTARTED}),
    ({}, {}),
    (service("dealer", environment={"BATCH": "200"}), {"dealer": RESTARTED}),
    (service("dealer", environment={"MAX_QUEUED": None}), {"dealer": RESTARTED}),
    (deployed("updater", replicas=1), {"updater": UPDATED}),
    (deployed("updater", labels={"note": "plans"}), {"updater": UPDATED}),
    (deployed("updater", update_config={"parallelism": 2}), {"updater": UPDATED}),
    (deployed("rabbitmq", rollback_config={"parallelism": 1}), {"rabbitmq": UPDATED}),
    (deployed("worker", replicas=2), {}),  # the autoscaler's number stays
    (service("worker", environment={"KEEP_ALIVE": "4"}), {"worker": RESTARTED}),
    (
        deployed("dealer", resources={"limits": {"memory": "210M", "cpus": "0.3"}}),
        {"dealer": RESTARTED},
    ),
    (service("updater", healthcheck={"interval": "11s"}), {"updater": RESTARTED}),
    (service("reaper", stop_grace_period="4s"), {"reaper": RESTARTED}),
    (
        deployed("updater", placement={"constraints": ["node.role == manager"]}),
        {"updater": UPDATED},
    ),
    (
        {
            "services": {
                "second": {
                    "image": "geo-diff",
                    "command": ["updater"],
                    "networks": ["aside"],
                    "deploy": {"replicas": 0},
                }
            },
            "networks": {"aside": {"driver": "overlay"}},
        },
        {"second": CREATED, "network aside": CREATED},
    ),
    (service("second", command=["worker"]), {"second": RESTARTED}),
    ({"services": {"second": None}}, {"second": REMOVED}),
    (
        {
            "services": {
                "dealer": {"environment": {"BATCH": "210"}},
                "updater": {"deploy": {"replicas": 2}},
            }
        },
        {"dealer": RESTARTED, "updater": UPDATED},
    ),
]
"""Each change of the work stack, with what its plan announces."""

NOTICE_BOARD = [
    ({}, None),
    ({}, {}),
    (service("web", environment={"LEVEL": "1"}), {"web": RESTARTED}),
    (service("web", environment={"LEVEL": ""}), {"web": RESTARTED}),
    (service("beat", environment={"LEVEL": "1"}), {"beat": RESTARTED}),
    (deployed("web", labels={"note": "plans"}), {"web": UPDATED}),
    (deployed("beat", update_config={"parallelism": 1}), {"beat": UPDATED}),
    (deployed("store", restart_policy={"delay": "3s"}), {"store": RESTARTED}),
    (service("store", cap_add=["CHOWN"]), {"store": RESTARTED}),
    (
        service("web", ports=[{"target": 8090, "published": 8091, "mode": "host"}]),
        {"web": RESTARTED},
    ),
    (
        {"configs": {"notices": {"file": "./board.env"}}},
        {"config notices": CREATED, "notices": RESTARTED},
    ),
    (service("notices", environment={"LEVEL": "1"}), {"notices": RESTARTED}),
    (service("web", init=True, stop_signal="SIGTERM"), {"web": RESTARTED}),
    (
        service("web", volumes=[{"type": "tmpfs", "target": "/scratch", "tmpfs": {"size": 65536}}]),
        {"web": RESTARTED},
    ),
    (
        {
            "services": {"web": {"networks": ["board", "aside"]}},
            "networks": {"aside": {"driver": "overlay"}},
        },
        {"network aside": CREATED, "web": RESTARTED},
    ),
    (
        service(
            "again",
            image="notice-board",
            entrypoint=["sleep", "infinity"],
            networks=["board"],
            stop_grace_period="0s",
        ),
        {"again": CREATED},
    ),
    ({"services": {"again": None}}, {"again": REMOVED}),
]
"""Each change of the notice board, with what its plan announces; the first deploys it."""


@pytest.fixture(scope="module")
def here(runbook):
    """The cluster, with the work stack on it."""
    return runbook.cluster()


def test_changes_of_the_work_stack_happen_as_announced(runbook, here):
    manager = membership.get_manager(here.engines)
    stack = reading.read("stacks/geo-diff/work.yml", parameters=lab_values())
    registry = images.registry_address(here.instances["manager"])
    references = images.references(builds.builds(stack), registry)
    site = Site(here, manager, "geo-diff-work", stack, references)
    try:
        for patch, expected in GEO_DIFF:
            site.change(patch)
            deploy_as_announced(site, expected)
    finally:
        runbook.run("--only", "06")


def test_changes_of_the_notice_board_happen_as_announced(here):
    manager, connection = membership.get_manager(here.engines), here.connections["manager"]
    stack = reading.read("stacks/notice-board/stack.yml")
    sources = builds.builds(stack)
    images.ensure_published(here, sources)
    references = images.references(sources, images.registry_address(here.instances["manager"]))
    site = Site(here, manager, "plans", stack, references)
    secrets.ensure_secrets(manager, stack, "plans")
    try:
        for patch, expected in NOTICE_BOARD:
            site.change(patch)
            deploy_as_announced(site, expected)
    finally:
        removal.remove_stack(connection, manager, "plans")
        secrets.remove_secrets(manager, "plans")


def lab_values() -> dict[str, Any]:
    return yaml.safe_load((PROJECT / "params" / "lab.yml").read_text())
