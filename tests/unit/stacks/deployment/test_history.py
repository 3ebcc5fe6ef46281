"""
The deployments of a stack that the Swarm keeps, and the way back to one of them.
"""

import base64
import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from runbook_lib.core.errors import ConflictError, NotFoundError
from runbook_lib.stacks.compose.stack_file import StackFile
from runbook_lib.stacks.compose.variables import Variable
from runbook_lib.stacks.deployment import history
from tests.fakes.docker import Engine, Model, Service

FILE = StackFile(Path("board.yml"), {"services": {}})
HIDDEN = Variable("A", "5", "values.env:1", "board.yml:3", shown=False)
STACK = "com.docker.stack.namespace"


def spec(name, image="board:1", *, replicas=1, networks=(), secrets=(), **labels):
    container = {"Image": image}
    if secrets:
        container["Secrets"] = [{"SecretID": f"id of {s}", "SecretName": s} for s in secrets]
    return {
        "Name": f"board_{name}",
        "Labels": {STACK: "board", **labels},
        "TaskTemplate": {
            "ContainerSpec": container,
            "Networks": [{"Target": network} for network in networks],
        },
        "Mode": {"Replicated": {"Replicas": replicas}},
    }


def manager(*specs, **more):
    return Engine(services=[Service(its["Name"], its) for its in specs], **more)


def deploy(engine, *specs):
    """As a deployment does: what it has not is removed."""
    for service in list(engine.services):
        service.remove()
    for its in specs:
        engine.services.add(Service(its["Name"], its))


def live(engine):
    return {service.name: service.attrs["Spec"] for service in engine.services}


def test_a_deployment_is_recorded_with_what_it_was():
    engine = manager(spec("web"), spec("store"))
    changes = history.record(engine, FILE, "board", ["services: {}"])
    found = history.find_last(engine, "board")
    assert [("history", "board 1", "recorded")] == [(c.what, c.name, c.action) for c in changes]
    assert live(engine) == found.specs
    assert (1, "deployed", ["services: {}"]) == (found.number, found.how, found.documents)
    assert ["runbook.board.1"] == [config.name for config in engine.configs]


def test_a_deployment_that_changed_nothing_is_not_recorded():
    engine = manager(spec("web"))
    history.record(engine, FILE, "board")
    assert [] == history.record(engine, FILE, "board")


def test_what_the_autoscaler_does_is_no_deployment():
    engine = manager(spec("web", **{"runbook.replicas": "live"}))
    history.record(engine, FILE, "board")
    deploy(engine, spec("web", replicas=7, **{"runbook.replicas": "live"}))
    assert [] == history.record(engine, FILE, "board")


def test_the_last_ten_are_kept():
    engine = manager()
    for number in range(1, 13):
        deploy(engine, spec("web", f"board:{number}"))
        history.record(engine, FILE, "board")
    assert list(range(3, 13)) == [entry.number for entry in history.find_history(engine, "board")]


def test_the_documents_are_left_out_if_they_do_not_fit(monkeypatch):
    monkeypatch.setattr(history, "LARGEST", 600)
    engine = manager(spec("web"))
    documents = [hashlib.sha256(bytes([n])).hexdigest() for n in range(100)]
    changes = history.record(engine, FILE, "board", documents)
    assert "recorded without its documents: no room" == changes[0].action
    assert [] == history.find_last(engine, "board").documents
    assert ["documents"] == history.find_last(engine, "board").left_out


def test_specifications_that_do_not_fit_are_not_recorded_and_that_is_said(monkeypatch):
    monkeypatch.setattr(history, "LARGEST", 10)
    engine = manager(spec("web"))
    action = history.record(engine, FILE, "board")[0].action
    assert action.startswith("not recorded: its specifications take ")
    assert [] == list(engine.configs)


def test_a_rollback_sets_creates_and_removes_until_everything_is_as_it_was():
    before = spec("web"), spec("store")
    engine = manager(*before)
    history.record(engine, FILE, "board")
    deploy(engine, spec("web", "board:2"), spec("cache"))
    history.record(engine, FILE, "board")
    to = history.get_deployment(engine, "board")
    changes = history.roll_back(engine, to)
    assert 1 == to.number
    assert {its["Name"]: its for its in before} == live(engine)
    assert [] == history.find_differences(engine, to)
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
        to = history.get_deployment(engine, "board")
        changes = history.roll_back(engine, to)
        history.record_rollback(engine, to)
    assert [] == changes
    table = history.history_table(engine, "board")
    assert ["rolled back to 1", "deployed", "deployed"] == list(table["how"])
    assert ["yes", "", "yes"] == list(table["runs"])


def test_what_did_not_converge_is_rolled_back_to_the_last_that_did():
    engine = manager(spec("web"))
    history.record(engine, FILE, "board")
    deploy(engine, spec("web", "no-such-image"))
    assert 1 == history.get_deployment(engine, "board").number


def test_a_number_goes_there():
    engine = manager()
    for number in range(1, 4):
        deploy(engine, spec("web", f"board:{number}"))
        history.record(engine, FILE, "board")
    to = history.get_deployment(engine, "board", 1)
    assert [
        ("board_web", "TaskTemplate.ContainerSpec.Image", "board:3", "board:1")
    ] == history.find_differences(engine, to)
    shown = history.rollback_table(engine, to)
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
    table = history.rollback_table(engine, history.get_deployment(engine, "board"))
    assert sorted(shown) == sorted(table["now"])


def test_a_mount_that_goes_is_one_line_of_the_table():
    before, after = spec("web"), spec("web")
    mount = {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True}
    after["TaskTemplate"]["ContainerSpec"]["Mounts"] = [mount]
    engine = manager(before)
    history.record(engine, FILE, "board")
    deploy(engine, after)
    table = history.rollback_table(engine, history.get_deployment(engine, "board"))
    assert [
        ["board_web", "TaskTemplate.ContainerSpec.Mounts./b", "yes", ""]
    ] == table.values.tolist()


def test_values_from_a_file_of_values_are_not_kept_as_variables():
    engine = manager(spec("web"))
    history.record(engine, replace(FILE, variables=(HIDDEN,)), "board")
    assert [["A", "(not shown)", "values.env:1"]] == history.find_last(engine, "board").variables


def test_a_deployment_that_is_not_kept_is_refused_with_those_that_are():
    engine = manager(spec("web"))
    history.record(engine, FILE, "board")
    with pytest.raises(NotFoundError, match=r"expected deployment 7 .*\n  kept: 1\n"):
        history.get_deployment(engine, "board", 7)
    with pytest.raises(NotFoundError, match="a deployment that differs from what runs"):
        history.get_deployment(engine, "board")


def test_a_rollback_keeps_the_replicas_that_the_autoscaler_has_set():
    engine = manager(spec("web", "board:1", replicas=2, **{"runbook.replicas": "live"}))
    history.record(engine, FILE, "board")
    deploy(engine, spec("web", "board:2", replicas=7, **{"runbook.replicas": "live"}))
    history.roll_back(engine, history.get_deployment(engine, "board"))
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
        history.roll_back(engine, history.get_deployment(engine, "board"))
    assert {"board_web": second} == live(engine)


def test_what_was_made_again_under_its_name_is_found_by_it():
    network = Model("board_net")
    network.id = "n1"
    engine = manager(spec("web", networks=["n1"]), networks=[network])
    history.record(engine, FILE, "board")
    deploy(engine, spec("web", "board:2", networks=["n2"]))
    network.id = "n2"
    history.roll_back(engine, history.get_deployment(engine, "board"))
    assert {"board_web": spec("web", networks=["n2"])} == live(engine)


def test_a_solution_is_not_rolled_back_over():
    """Its notebook carries messages and tiles; a rollback would not."""
    engine = manager(spec("web"))
    history.record(engine, FILE, "board")
    deploy(engine, spec("web", **{"runbook.overlays": "three-brokers.yml"}))
    with pytest.raises(ConflictError, match=r"three-brokers\.yml; it had none"):
        history.get_deployment(engine, "board")


def test_the_history_is_removed_with_its_stack_and_no_other():
    engine = manager(spec("web"))
    history.record(engine, FILE, "board")
    engine.configs.create(name="mine", data=b"x")
    history.remove_history(engine, "board")
    assert ["mine"] == [config.name for config in engine.configs]
    assert [] == history.remove_history(engine, "board")


@pytest.mark.parametrize(
    "change",
    [
        {"Data": "bm8gZ3ppcA=="},
        {"Data": base64.b64encode(gzip.compress(b"[]")).decode()},
        {"Data": base64.b64encode(gzip.compress(b'{"stack": "board"}')[:-9]).decode()},
        {"Labels": {history.HISTORY: "board"}},
        {"Labels": {history.HISTORY: "board", "n": "7"}},
    ],
)
def test_an_entry_that_a_person_wrote_is_refused_with_the_command_that_removes_it(change):
    engine = manager(spec("web"))
    history.record(engine, FILE, "board")
    next(iter(engine.configs)).attrs["Spec"].update(change)

    with pytest.raises(ConflictError, match=r"docker config rm runbook\.board\.1"):
        history.find_last(engine, "board")


def test_an_entry_with_a_service_of_another_stack_is_refused():
    engine = manager({**spec("web"), "Name": "shop_web"})
    history.record(engine, FILE, "board")
    entry = next(iter(engine.configs)).attrs["Spec"]
    content = json.loads(gzip.decompress(base64.b64decode(entry["Data"])))
    content["specs"] = {"shop_web": {**spec("web"), "Name": "shop_web", "Labels": {STACK: "shop"}}}
    entry["Data"] = base64.b64encode(gzip.compress(json.dumps(content).encode())).decode()

    with pytest.raises(ConflictError, match="it is none"):
        history.find_history(engine, "board")
