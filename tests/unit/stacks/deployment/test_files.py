"""
The files that a stack names beside it: found, and replaced by where they will be.
"""

import hashlib

import pytest

from runbook_lib.core.errors import ConflictError, ParameterError
from runbook_lib.stacks.deployment import files
from tests.fakes.docker import Engine, Model

BESIDE = """
services:
  one:
    image: nginx:1.27
    env_file: ./prod.env
    configs: [conf]
configs:
  conf: {file: ./app.conf}
"""


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


def test_what_is_too_large_is_refused(write, monkeypatch):
    monkeypatch.setitem(files.LARGEST, "configs", 2)
    with pytest.raises(ParameterError, match=r"app\.conf: more than 2 bytes"):
        files.pack(write(BESIDE, prod_env="", app_conf="123"), "board")


def test_an_empty_config_is_refused_and_an_empty_env_file_is_not(write):
    with pytest.raises(ParameterError, match=r"\n  .*app\.conf: it is empty.*\n  next"):
        files.pack(write(BESIDE, prod_env="", app_conf=""), "board")


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
