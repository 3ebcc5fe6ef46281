"""
The files that a stack names beside it: found, replaced by where they will be, and brought there.
"""

import hashlib
import os
from pathlib import Path

import pytest

from runbook_lib.core.errors import CommandError, ConflictError, ParameterError
from runbook_lib.stacks.compose import reading
from runbook_lib.stacks.deployment import files
from tests.fakes.docker import Engine, Model
from tests.fakes.ssh import LocalConnection

BESIDE = """
services:
  one:
    image: nginx:1.27
    env_file: ./prod.env
    configs: [conf]
configs:
  conf: {file: ./app.conf}
"""


@pytest.fixture
def write(tmp_path):
    """A stack file with others beside it, read."""

    def _write(text, **beside):
        path = tmp_path / "stack.yml"
        path.write_text(text)
        for name, content in beside.items():
            (tmp_path / name.replace("_", ".")).write_text(content)
        return reading.read(path)

    return _write


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def test_both_files_beside_the_stack_file_reach_the_manager(write):
    packed = files.pack(write(BESIDE, prod_env="A=1\n", app_conf="x\n"), "board")
    env, conf = f"files/{sha('A=1' + chr(10))}/prod.env", f"files/{sha('x' + chr(10))}/app.conf"
    assert {env: b"A=1\n", conf: b"x\n"} == packed.files
    document = packed.stack.documents[0]
    assert env == document["services"]["one"]["env_file"]
    assert conf == document["configs"]["conf"]["file"]


def test_all_that_are_missing_are_told_at_once_with_their_lines(write):
    missing = (
        r"stack\.yml:5: \./prod\.env: there is no .*\n.*stack\.yml:8: \./app\.conf: there is no "
    )
    with pytest.raises(ParameterError, match=missing):
        files.pack(write(BESIDE), "board")


def test_a_changed_file_is_another_config_with_the_stacks_label(write):
    first = files.pack(write(BESIDE, prod_env="", app_conf="1"), "board")
    second = files.pack(write(BESIDE, prod_env="", app_conf="2"), "board")
    names = [p.stack.documents[0]["configs"]["conf"]["name"] for p in (first, second)]
    assert names[0] != names[1]
    assert [True, True] == [name.startswith("board_conf_") for name in names]
    assert {"runbook.stack": "board"} == first.stack.documents[0]["configs"]["conf"]["labels"]


def test_a_name_that_the_file_gives_is_kept(write):
    text = BESIDE.replace("{file: ./app.conf}", "{file: ./app.conf, name: mine}")
    packed = files.pack(write(text, prod_env="", app_conf="1"), "board")
    assert "mine" == packed.stack.documents[0]["configs"]["conf"]["name"]


def test_a_changed_file_under_such_a_name_is_refused_before_docker_does(write):
    text = BESIDE.replace("{file: ./app.conf}", "{file: ./app.conf, name: mine}")
    packed = files.pack(write(text, prod_env="", app_conf="1"), "board")
    labels = packed.stack.documents[0]["configs"]["conf"]["labels"]
    deployed = Engine(configs=[Model("mine", labels, Spec={"Labels": labels})])
    files.check_names(deployed, packed)
    files.check_names(Engine(), packed)
    changed = files.pack(write(text, prod_env="", app_conf="2"), "board")
    with pytest.raises(ConflictError, match=r"stack\.yml:8: mine"):
        files.check_names(deployed, changed)


def test_a_long_name_is_shortened_to_what_swarm_takes(write):
    text = BESIDE.replace("conf:", f"{'c' * 60}:").replace("[conf]", f"[{'c' * 60}]")
    packed = files.pack(write(text, prod_env="", app_conf="1"), "b" * 40)
    (config,) = packed.stack.documents[0]["configs"].values()
    assert 64 == len(config["name"])


def test_a_format_that_has_no_names_of_configs_yet_becomes_one_that_has(write):
    packed = files.pack(write(f"version: '3.3'\n{BESIDE}", prod_env="", app_conf="1"), "board")
    assert "3.8" == packed.stack.documents[0]["version"]


def test_a_stack_without_files_stays_as_it_is(write):
    stack = write("services: {one: {image: 'nginx:1.27', volumes: ['data:/data', '/etc/x:/x:ro']}}")
    packed = files.pack(stack, "board")
    assert (stack.documents, {}, ()) == (packed.stack.documents, packed.files, packed.binds)


BINDS = """
services:
  one:
    image: nginx:1.27
    volumes:
      - ./site:/site:ro
      - {type: bind, source: site, target: /again}
      - type: volume
        source: site
        target: /data
"""


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "run.sh").write_text("echo hello\n")
    (folder / "run.sh").chmod(0o750)
    (folder / "link").symlink_to("run.sh")
    return folder


def test_relative_binds_become_one_folder_of_the_nodes(write, site):
    packed = files.pack(write(BINDS), "board")
    (bind,) = packed.binds
    assert bind.source == site
    short, long, volume = packed.stack.documents[0]["services"]["one"]["volumes"]
    assert f"{bind.target}:/site:ro" == short
    assert (bind.target, "site") == (long["source"], volume["source"])
    assert bind.target.startswith("/srv/runbook/board/")


def test_the_same_content_under_two_names_is_two_folders(write, site, nodes):
    """A folder is complete once it is there, so nothing is added to it later."""
    (site.parent / "site2").mkdir()
    (site.parent / "site3").mkdir()
    text = "services: {one: {image: 'nginx:1.27', volumes: ['./site2:/a', './site3:/b']}}"
    packed = files.pack(write(text), "board")
    files.ensure_binds({"manager": nodes["manager"]}, packed)
    assert [True, True] == [Path(bind.target).is_dir() for bind in packed.binds]


def test_a_change_of_content_or_mode_is_another_folder(write, site):
    targets = {files.pack(write(BINDS), "board").binds[0].target}
    (site / "run.sh").chmod(0o755)
    targets.add(files.pack(write(BINDS), "board").binds[0].target)
    (site / "run.sh").write_text("echo bye\n")
    targets.add(files.pack(write(BINDS), "board").binds[0].target)
    assert 3 == len(targets)


@pytest.mark.parametrize(
    ("volume", "reason"),
    [
        ("./gone:/x", "No such file"),
        ("~/x:/x", "~ is another folder for each user"),
        ("{type: bind, source: gone, target: /x}", "No such file"),
        ("./pipe:/x", "neither a file, a folder nor a link"),
    ],
)
def test_a_bind_that_cannot_travel_is_refused(write, tmp_path, volume, reason):
    os.mkfifo(tmp_path / "pipe")
    text = f"services:\n  one:\n    image: nginx:1.27\n    volumes:\n    - {volume}\n"
    with pytest.raises(ParameterError, match=r"stack\.yml:5: .*" + reason):
        files.pack(write(text), "board")


def test_what_is_too_large_is_refused(write, monkeypatch, site):
    monkeypatch.setitem(files.LARGEST, "configs", 2)
    monkeypatch.setattr(files, "LARGEST_BIND", 3)
    with pytest.raises(ParameterError, match=r"app\.conf: more than 2 bytes"):
        files.pack(write(BESIDE, prod_env="", app_conf="123"), "board")
    with pytest.raises(ParameterError, match="more than 0 MB"):
        files.pack(write(BINDS), "board")


def test_an_empty_config_is_refused_and_an_empty_env_file_is_not(write):
    with pytest.raises(ParameterError, match=r"\n  .*app\.conf: it is empty.*\n  next"):
        files.pack(write(BESIDE, prod_env="", app_conf=""), "board")


@pytest.mark.parametrize("name", ["..", "a/b", "$(touch x)", " "])
def test_no_name_leads_out_of_the_folder(write, site, name):
    (bind,) = files.pack(write(BINDS), name).binds
    assert 5 == bind.target.count("/")
    assert ".." not in bind.target.split("/")


@pytest.fixture
def nodes(tmp_path, monkeypatch):
    """Two nodes whose folders are on this machine."""
    monkeypatch.setattr(files, "FOLDER", str(tmp_path / "srv"))
    return {"manager": LocalConnection(), "worker-1": LocalConnection()}


def test_binds_reach_every_node_once_with_their_modes(write, site, nodes):
    packed = files.pack(write(BINDS), "board")
    changes = files.ensure_binds({"manager": nodes["manager"]}, packed)
    target = Path(packed.binds[0].target)
    assert ["copied to manager"] == [change.action for change in changes]
    assert "echo hello\n" == (target / "run.sh").read_text()
    assert 0o750 == (target / "run.sh").stat().st_mode & 0o777
    assert (os.getuid(), "run.sh") == (target.stat().st_uid, str((target / "link").readlink()))
    assert [] == files.ensure_binds(nodes, packed)
    assert [target.parent] == list(target.parent.parent.iterdir())


def test_binds_are_removed_with_their_stack_but_those_to_keep(write, site, nodes):
    one = {"manager": nodes["manager"]}
    packed = files.pack(write(BINDS), "board")
    files.ensure_binds(one, packed)
    kept = Path(packed.binds[0].target).parent
    (site / "run.sh").write_text("echo bye\n")
    files.ensure_binds(one, files.pack(write(BINDS), "board"))
    changes = files.remove_binds(one, "board", [kept.name])
    assert (1, [kept]) == (len(changes), list(kept.parent.iterdir()))
    files.remove_binds(one, "board")
    assert not kept.parent.exists()
    assert [] == files.remove_binds(one, "board")


def test_an_archive_that_ends_early_is_no_bind_mount(write, site, nodes, monkeypatch):
    packed = files.pack(write(BINDS), "board")
    whole = files._tar
    # tar takes an end between two files for the end of the archive
    monkeypatch.setattr(files, "_tar", lambda source: whole(source)[:1024])
    with pytest.raises(CommandError):
        files.ensure_binds({"manager": nodes["manager"]}, packed)
    target = Path(packed.binds[0].target)
    assert [] == list(target.parent.parent.iterdir())


@pytest.mark.parametrize(
    ("name", "reason"),
    [("loop", "[Ll]oop"), ('"a\\0b"', "null byte"), ("x" * 300, "too long")],
)
def test_a_name_that_is_no_path_is_told_with_its_line(write, tmp_path, name, reason):
    (tmp_path / "loop").symlink_to("loop")
    text = f"services:\n  one:\n    image: nginx:1.27\n    env_file: {name}\n"
    with pytest.raises(ParameterError, match=r"stack\.yml:4: .*" + reason):
        files.pack(write(text), "board")


def test_the_records_of_a_stack_do_not_show_its_values(write):
    packed = files.pack(write(BESIDE, prod_env="A=hunter2\n", app_conf="hunter2"), "board")
    assert "hunter2" not in repr(packed)
