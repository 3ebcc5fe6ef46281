"""
Whether a service is as wanted, from what the Docker API says.
"""

import pytest

from runbook_lib.stacks.convergence import convergence
from tests.fakes import docker

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
