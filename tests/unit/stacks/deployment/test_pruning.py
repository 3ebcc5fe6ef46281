"""
What earlier deployments left, removed once nothing names it.
"""

from pathlib import Path

from runbook_lib.stacks.compose.stack_file import StackFile
from runbook_lib.stacks.deployment import binds, history, pruning
from tests.fakes.docker import Engine, Model, Service
from tests.fakes.ssh import LocalConnection

STACK = "com.docker.stack.namespace"


def config(name, **labels):
    return Model(name, {STACK: "board", **labels}, Spec={"Labels": labels})


def spec(config, folder=""):
    container = {
        "Configs": [{"ConfigID": config, "ConfigName": config}],
        "Mounts": [{"Source": folder, "Target": "/x"}],
    }
    labels = {STACK: "board"}
    return {
        "Name": "board_web",
        "Labels": labels,
        "Mode": {},
        "TaskTemplate": {"ContainerSpec": container},
    }


def test_a_config_is_removed_once_neither_services_nor_history_name_it():
    ours = {"runbook.stack": "board"}
    names = ["now", "before", "recorded", "unused"]
    engine = Engine(
        services=[Service("board_web", spec("recorded"))],
        configs=[*(config(name, **ours) for name in names), config("a person's")],
    )
    history.record(engine, StackFile(Path("board.yml"), {}), "board")
    web = engine.services.get("board_web")
    web.attrs.update(Spec=spec("now"), PreviousSpec=spec("before"))
    changes = pruning.prune_unused(engine, "board")
    assert ["unused"] == [change.name for change in changes]
    left = [*names[:3], "a person's", "runbook.board.1"]
    assert left == [one.name for one in engine.configs]


def test_a_bind_mount_is_removed_once_nothing_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr(binds, "FOLDER", str(tmp_path))
    for name in ("used", "unused"):
        (tmp_path / "board" / name / "site").mkdir(parents=True)
    folders = [f"{tmp_path}/board/used/site", f"{tmp_path}/by-hand"]
    engine = Engine(services=[Service("board_web", spec("a", folder)) for folder in folders])
    pruning.prune_binds({"manager": LocalConnection()}, engine, "board")
    assert ["used"] == [path.name for path in (tmp_path / "board").iterdir()]
