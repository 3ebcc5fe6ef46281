"""
The live state of the steps that lie on the instances, as the engines tell it.
"""

import pytest

from runbook_lib.geodiff.steps import (
    DIFFERS,
    DONE,
    NOT_YET,
    StepState,
    inner_steps,
    next_step,
    state_table,
)
from runbook_lib.geodiff.web import Addresses
from tests.fakes.docker import Engine, Node, Service, Volume, task

WHERE = Addresses("http://192.0.2.9:8080", "http://192.0.2.4:5000")
ENV = ["UI_ORIGIN=http://192.0.2.9:8080"]
STACKS = {"geo-diff-work": [], "geo-diff-web": ENV}


def manager(nodes=("ready",) * 6, stacks=STACKS, running=1, **swarm):
    """The manager's engine; each stack has one service, with these variables."""
    template = {s: {"ContainerSpec": {"Image": "geo-diff:0", "Env": e}} for s, e in stacks.items()}
    mode = {"Replicated": {"Replicas": 1}}

    def tasks(filters):
        stack = filters["service"].removesuffix("_one")
        return [task("running", Spec=template[stack])] * running

    return Engine(
        nodes=[Node(f"node-{n}", state=state) for n, state in enumerate(nodes)],
        services=[Service(f"{s}_one", {"Mode": mode, "TaskTemplate": template[s]}) for s in stacks],
        volumes=[Volume("tiles-data")],
        tasks=tasks,
        swarm=swarm,
    )


def states(engine, others=5, where=WHERE, **options):
    clients = {f"other-{n}": None for n in range(others)} | ({"manager": engine} if engine else {})
    found = inner_steps(clients, 6, "geo-diff-work", "geo-diff-web", where, **options)
    return {step.notebook[:2]: (step.state, step.detail) for step in found}


def test_a_cluster_that_is_whole_is_done_step_by_step():
    assert {"03": DONE, "04": DONE, "05": DONE, "06": DONE, "07": DONE} == {
        number: state for number, (state, _) in states(manager()).items()
    }


def test_without_an_engine_on_the_manager_nothing_inside_is_there_yet():
    seen = states(None)
    assert (DIFFERS, "Docker on 5 of 6") == seen["03"]
    assert {NOT_YET} == {seen[number][0] for number in ("04", "05", "06", "07")}


def test_five_nodes_are_a_swarm_until_admin_web_joins():
    assert (DONE, "5 of 5 nodes ready") == states(manager(["ready"] * 5))["05"]


def test_a_worker_that_is_down_shows_also_where_admin_web_makes_up_the_number():
    assert (DIFFERS, "5 of 6 nodes ready") == states(manager(["ready"] * 5 + ["down"]))["05"]


@pytest.mark.parametrize("number", ["05", "06", "07"])
def test_a_swarm_without_a_majority_says_so_at_every_step_that_needs_it(number):
    engine = manager(Error="The swarm does not have a leader.")
    assert (DIFFERS, "The swarm does not have a leader.") == states(engine)[number]


def test_a_web_stack_is_not_there_yet_while_the_work_stack_is():
    seen = states(manager(stacks={"geo-diff-work": []}))
    assert (DONE, "1 of 1 services as wanted") == seen["06"]
    assert (NOT_YET, "no stack geo-diff-web") == seen["07"]


def test_an_application_without_tiles_needs_neither_tiles_nor_a_map():
    engine = manager(stacks={"notice-board": []})
    engine.volumes = Engine(volumes=[]).volumes
    seen = states(engine, has_tiles=False)
    assert (DONE, "no tiles: tiles_url is empty") == seen["04"]
    assert (DONE, "no map: tiles_url is empty") == seen["07"]
    assert (NOT_YET, "no volume") == states(engine)["04"]


def test_what_is_there_shows_even_for_an_application_without_tiles():
    seen = states(manager(running=0), has_tiles=False)
    assert (DONE, "volume tiles-data") == seen["04"]
    assert (DIFFERS, "0 of 1 services as wanted") == seen["07"]


def test_a_service_that_does_not_run_differs():
    assert (DIFFERS, "0 of 1 services as wanted") == states(manager(running=0))["07"]


def test_a_web_stack_that_still_tells_an_old_address_differs():
    """An instance that was stopped and started has another public address."""
    moved = Addresses("http://192.0.2.77:8080", WHERE.tiles)
    assert (DIFFERS, "it still has http://192.0.2.9:8080") == states(manager(), where=moved)["07"]
    assert DONE == states(manager(), where=None)["07"][0]


def test_the_first_step_that_is_not_done_is_where_to_go_on():
    steps = [StepState("05_swarm", DONE, ""), StepState("06_work_stack", DIFFERS, "1 of 7")]
    assert "06_work_stack" == next_step(steps)
    assert "" == next_step(steps[:1])
    assert ["✓ done", "✗ differs"] == list(state_table(steps)["state"])
