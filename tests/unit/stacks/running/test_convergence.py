"""
Whether a service is as wanted, from what the Docker API says.
"""

import json
from types import SimpleNamespace

import pytest
from docker.errors import APIError

from runbook_lib.core.errors import CommandError, WaitTimeoutError
from runbook_lib.stacks import deploy
from runbook_lib.stacks.running.convergence import convergence
from tests.fakes import docker
from tests.places import DATA

CASES = sorted((DATA / "convergence").glob("*.json"))
CONTAINER = {"Image": "registry/worker:abc@sha256:123"}


def task(state, *, desired="running", container=CONTAINER, said=""):
    spec = {"ContainerSpec": container}
    return docker.task(state, desired=desired, error=said, Spec=spec)


def look(tasks, *, mode=None, update=None):
    spec = {
        "Mode": mode or {"Replicated": {"Replicas": 2}},
        "TaskTemplate": {"ContainerSpec": CONTAINER},
    }
    service = docker.Service("stack_worker", spec, UpdateStatus=update or {})
    return convergence(docker.Engine(tasks=tasks), service)


def test_as_many_current_tasks_as_replicas_is_done():
    assert look([task("running"), task("running")]).done


def test_tasks_of_the_old_image_do_not_count():
    old = task("running", container={"Image": "registry/worker:old"})

    assert (1, False) == ((seen := look([task("running"), old])).running, seen.done)


def test_a_pending_task_is_explained_in_words():
    seen = look([task("running"), task("pending", said="no suitable node (5 nodes)")])

    assert not seen.done
    assert "no node fits its placement" in seen.reason


def test_a_task_is_on_its_way_where_nothing_is_said_against_it():
    """What an autoscaler has just asked for is not what finds no room."""
    seen = look([task("running"), task("preparing"), task("pending", said="no suitable node")])

    assert (1, 1) == (seen.running, seen.starting)


@pytest.mark.parametrize("state", ["paused", "rollback_started", "rollback_completed"])
def test_a_rolled_back_or_paused_update_is_a_failure(state):
    seen = look([task("running")] * 2, update={"State": state, "Message": "task failed"})

    assert not seen.done
    assert f"update {state}: task failed" == seen.failure


def test_an_update_in_progress_is_not_done():
    assert not look([task("running")] * 2, update={"State": "updating"}).done


def test_a_global_service_wants_one_task_on_each_node_that_it_was_given():
    assert look([task("running")] * 5, mode={"Global": {}}).done


def test_a_one_shot_service_is_done_when_its_tasks_completed():
    jobs = {"ReplicatedJob": {"TotalCompletions": 1}}

    assert look([task("complete", desired="complete")], mode=jobs).done


def given(path):
    """
    The manager and the service of a case; its tasks are those that Swarm lists.
    """
    case = json.loads(path.read_text())
    engine = docker.Engine(tasks=case["tasks"])
    engine.api.nodes = lambda: case["nodes"]
    attrs = dict(case["service"])
    return engine, docker.Service("stack_worker", attrs.pop("Spec"), **attrs), case["expected"]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_service_is_judged_as_the_case_says(path):
    """
    The name of each file is the sentence that it specifies.
    """
    engine, service, expected = given(path)

    state = convergence(engine, service)

    assert expected["seen"] == f"{state.running}/{state.wanted}"
    assert expected["done"] == state.done
    for name in ("failure", "stuck", "reason"):
        if name in expected:
            text = getattr(state, name)
            assert expected[name] in text if expected[name] else "" == text


class Registry:
    """
    Answers the manager for an image: with a status code, or with its digest.
    """

    def __init__(self, status=200):
        self.status, self.asked = status, []

    def inspect_distribution(self, image):
        self.asked.append(image)
        if self.status != 200:
            response = SimpleNamespace(status_code=self.status, reason="", url="")
            raise APIError("no", response=response, explanation="manifest unknown")


def wait(monkeypatch, name, registry=None, timeout_s=0.3):
    engine, service, _ = given(DATA / "convergence" / f"{name}.json")
    engine.services.add(service)
    service.labels[docker.STACK] = "stack"
    engine.api.inspect_distribution = (registry or Registry()).inspect_distribution
    monkeypatch.setattr(deploy, "_STUCK_S", 0.1)
    monkeypatch.setattr(deploy.wait_for, "__kwdefaults__", {"poll_s": 0.02, "next_step": ""})
    deploy.wait_for_stack(engine, "stack", timeout_s)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a_constraint_that_no_node_meets_is_stuck", "no node meets node.labels.disk == tape"),
        ("a_global_service_that_no_node_matches_is_stuck", "no node meets node.labels.disk"),
        ("a_reservation_that_no_node_can_hold_is_stuck", "no node has the 4096 MiB that"),
        ("a_failed_one_shot_service_is_a_failure_at_once", "task: non-zero exit (1), it is not"),
    ],
)
def test_waiting_ends_early_with_the_reason_where_nothing_can_change_by_itself(
    monkeypatch, name, why
):
    with pytest.raises(CommandError) as error:
        wait(monkeypatch, name, timeout_s=60)

    assert f"stack_worker: {why}" in str(error.value)
    assert "docker service ps --no-trunc stack_worker" in str(error.value)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_waiting_ends_early_where_the_registry_says_that_it_has_no_such_image(monkeypatch, status):
    registry = Registry(status)

    with pytest.raises(CommandError, match="stack_worker: No such image: r/w:1"):
        wait(monkeypatch, "a_rejected_image_is_stuck_if_the_registry_has_none", registry, 60)

    assert ["r/w:1"] == registry.asked


@pytest.mark.parametrize("status", [200, 429, 500, 503])
def test_waiting_goes_on_where_the_registry_may_come_back(monkeypatch, status):
    with pytest.raises(WaitTimeoutError):
        wait(
            monkeypatch,
            "a_rejected_image_is_stuck_if_the_registry_has_none",
            Registry(status),
        )


@pytest.mark.parametrize(
    "name", ["a_node_that_is_down_may_come_back", "room_may_come_while_old_tasks_stop"]
)
def test_waiting_goes_on_where_a_node_or_room_may_come(monkeypatch, name):
    with pytest.raises(WaitTimeoutError):
        wait(monkeypatch, name)


def test_a_one_shot_service_that_just_began_is_watched_before_it_counts(monkeypatch):
    """It ran when it was asked first; a moment later it had failed."""
    engine, service, _ = given(
        DATA / "convergence" / "a_failed_one_shot_service_is_a_failure_at_once.json"
    )
    engine.services.add(service)
    service.labels[docker.STACK] = "stack"
    failed = engine.api.tasks(filters={"service": service.name})
    running = [
        {**task, "DesiredState": "running", "Status": {"State": "running"}} for task in failed
    ]
    answers = iter([running, running])
    monkeypatch.setattr(engine.api, "tasks", lambda *_, **__: next(answers, failed))
    monkeypatch.setattr(deploy.wait_for, "__kwdefaults__", {"poll_s": 0.02, "next_step": ""})

    with pytest.raises(CommandError, match="it is not started again"):
        deploy.wait_for_stack(engine, "stack", 60)
