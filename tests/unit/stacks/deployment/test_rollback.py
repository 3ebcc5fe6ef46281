"""
The way back to a deployment that the Swarm keeps.
"""

from dataclasses import replace

import pytest

from runbook_lib.core.errors import ConflictError, NotFoundError
from runbook_lib.stacks.deployment import history, rollback
from tests.fakes.board import FILE, HIDDEN, deploy, live, manager, spec
from tests.fakes.docker import Model


def test_a_rollback_sets_creates_and_removes_until_everything_is_as_it_was():
    before = spec("web"), spec("store")
    engine = manager(*before)
    history.record(engine, FILE, "board")
    deploy(engine, spec("web", "board:2"), spec("cache"))
    history.record(engine, FILE, "board")
    to = rollback.get_deployment(engine, "board")
    changes = rollback.roll_back(engine, to)
    assert 1 == to.number
    assert {its["Name"]: its for its in before} == live(engine)
    assert [] == rollback.find_differences(engine, to)
    assert [
        ("board_cache", "removed"),
        ("board_store", "created"),
        ("board_web", "updated"),
    ] == [(change.name, change.action) for change in changes]


def test_a_rollback_is_an_entry_and_a_second_one_changes_nothing():
    engine = manager(spec("web"))
    history.record(engine, FILE, "board")
    deploy(engine, spec("web", "board:2"))
    history.record(engine, FILE, "board")
    for _ in range(2):
        to = rollback.get_deployment(engine, "board")
        changes = rollback.roll_back(engine, to)
        history.record_rollback(engine, to)
    assert [] == changes
    table = history.history_table(engine, "board")
    assert ["rolled back to 1", "deployed", "deployed"] == list(table["how"])
    assert ["yes", "", "yes"] == list(table["runs"])


def test_what_did_not_converge_is_rolled_back_to_the_last_that_did():
    engine = manager(spec("web"))
    history.record(engine, FILE, "board")
    deploy(engine, spec("web", "no-such-image"))
    assert 1 == rollback.get_deployment(engine, "board").number


def test_a_number_goes_there():
    engine = manager()
    for number in range(1, 4):
        deploy(engine, spec("web", f"board:{number}"))
        history.record(engine, FILE, "board")
    to = rollback.get_deployment(engine, "board", 1)
    assert [
        ("board_web", "TaskTemplate.ContainerSpec.Image", "board:3", "board:1")
    ] == rollback.find_differences(engine, to)
    shown = rollback.rollback_table(engine, to)
    assert ["board:3", "board:1"] == list(shown.loc[0, ["now", "then"]])


@pytest.mark.parametrize(
    ("variables", "shown"),
    [((), ["5", "(not shown)", "board:2"]), ((HIDDEN,), ["(not shown)", "(not shown)", "board:2"])],
)
def test_values_that_a_deployment_did_not_show_are_not_shown_by_the_way_back(variables, shown):
    before, after = spec("web"), spec("web", "board:2")
    for its, values in [(before, ["A=1", "API_KEY=x"]), (after, ["A=5", "API_KEY=y"])]:
        its["TaskTemplate"]["ContainerSpec"]["Env"] = values
    engine = manager(before)
    history.record(engine, replace(FILE, variables=variables), "board")
    deploy(engine, after)
    table = rollback.rollback_table(engine, rollback.get_deployment(engine, "board"))
    assert sorted(shown) == sorted(table["now"])


def test_a_mount_that_goes_is_one_line_of_the_table():
    before, after = spec("web"), spec("web")
    mount = {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True}
    after["TaskTemplate"]["ContainerSpec"]["Mounts"] = [mount]
    engine = manager(before)
    history.record(engine, FILE, "board")
    deploy(engine, after)
    table = rollback.rollback_table(engine, rollback.get_deployment(engine, "board"))
    assert [
        ["board_web", "TaskTemplate.ContainerSpec.Mounts./b", "yes", ""]
    ] == table.values.tolist()


def test_a_deployment_that_is_not_kept_is_refused_with_those_that_are():
    engine = manager(spec("web"))
    history.record(engine, FILE, "board")
    with pytest.raises(NotFoundError, match=r"expected deployment 7 .*\n  kept: 1\n"):
        rollback.get_deployment(engine, "board", 7)
    with pytest.raises(NotFoundError, match="a deployment that differs from what runs"):
        rollback.get_deployment(engine, "board")


def test_a_rollback_keeps_the_replicas_that_the_autoscaler_has_set():
    engine = manager(spec("web", "board:1", replicas=2, **{"runbook.replicas": "live"}))
    history.record(engine, FILE, "board")
    deploy(engine, spec("web", "board:2", replicas=7, **{"runbook.replicas": "live"}))
    rollback.roll_back(engine, rollback.get_deployment(engine, "board"))
    wanted = spec("web", "board:1", replicas=7, **{"runbook.replicas": "live"})
    assert {"board_web": wanted} == live(engine)


def test_a_rollback_is_refused_before_anything_changes_if_a_secret_or_network_is_gone():
    network, secret = Model("board_net"), Model("key")
    secret.id = "id of key"
    first = spec("web", networks=["board_net"], secrets=["key"])
    engine = manager(first, networks=[network], secrets=[secret])
    history.record(engine, FILE, "board")
    second = spec("web", "board:2")
    deploy(engine, second)
    network.remove()
    secret.remove()
    with pytest.raises(NotFoundError, match="network board_net, secret key"):
        rollback.roll_back(engine, rollback.get_deployment(engine, "board"))
    assert {"board_web": second} == live(engine)


def test_what_was_made_again_under_its_name_is_found_by_it():
    network = Model("board_net")
    network.id = "n1"
    engine = manager(spec("web", networks=["n1"]), networks=[network])
    history.record(engine, FILE, "board")
    deploy(engine, spec("web", "board:2", networks=["n2"]))
    network.id = "n2"
    rollback.roll_back(engine, rollback.get_deployment(engine, "board"))
    assert {"board_web": spec("web", networks=["n2"])} == live(engine)


def test_a_solution_is_not_rolled_back_over():
    """Its notebook carries messages and tiles; a rollback would not."""
    engine = manager(spec("web"))
    history.record(engine, FILE, "board")
    deploy(engine, spec("web", **{"runbook.overlays": "three-brokers.yml"}))
    with pytest.raises(ConflictError, match=r"three-brokers\.yml; it had none"):
        rollback.get_deployment(engine, "board")
