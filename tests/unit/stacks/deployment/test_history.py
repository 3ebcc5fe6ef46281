"""
The deployments of a stack that the Swarm keeps.
"""

import base64
import gzip
import hashlib
import json
from dataclasses import replace

import pytest

from runbook_lib.core.errors import ConflictError
from runbook_lib.stacks.deployment import history
from tests.fakes.board import FILE, HIDDEN, STACK, deploy, live, manager, spec


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


def test_values_from_a_file_of_values_are_not_kept_as_variables():
    engine = manager(spec("web"))
    history.record(engine, replace(FILE, variables=(HIDDEN,)), "board")
    assert [["A", "(not shown)", "values.env:1"]] == history.find_last(engine, "board").variables


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
