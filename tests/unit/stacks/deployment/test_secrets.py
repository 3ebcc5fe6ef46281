"""
The secrets that a stack needs: given, generated where the file allows it, or asked for.
"""

import base64

import pytest
from docker.errors import NotFound

from runbook_lib.core.errors import ConflictError, ParameterError
from runbook_lib.stacks.compose import reading
from runbook_lib.stacks.deployment import secrets
from tests.fakes.docker import Engine, Model, Service, in_turn

STACK = """
x-runbook:
  generated_secrets: [cookie]
services:
  one:
    image: nginx:1.27
    secrets: [cookie, tls_key]
secrets:
  cookie: {external: true}
  tls_key: {external: true}
"""


@pytest.fixture
def stack(tmp_path):
    (tmp_path / "stack.yml").write_text(STACK)
    return reading.read(tmp_path / "stack.yml")


@pytest.fixture
def folder(tmp_path):
    """A folder for the values of secrets, without any."""
    (tmp_path / "values").mkdir()
    return tmp_path / "values"


def existing(name, **labels):
    return Model(name, labels, Spec={"Name": name, "Labels": labels})


def value(secret):
    return base64.b64decode(secret.attrs["Spec"]["Data"])


def read(tmp_path, text):
    (tmp_path / "stack.yml").write_text(text)
    return reading.read(tmp_path / "stack.yml")


def test_only_a_secret_that_the_file_lists_is_made_as_a_token(stack):
    manager = Engine(secrets=[existing("tls_key")])
    changes = secrets.ensure_secrets(manager, stack, "board")
    assert [("cookie", "created as a random token")] == [(c.name, c.action) for c in changes]
    made = manager.secrets.get("cookie")
    assert {"runbook.stack": "board"} == made.labels
    assert 43 == len(value(made))
    assert [] == secrets.ensure_secrets(manager, stack, "board")


def test_every_missing_secret_is_told_with_its_line_and_nothing_is_made(stack):
    manager = Engine()
    missing = r"stack\.yml:10: tls_key is not in the Swarm\n  next: .*RUNBOOK_SECRET_TLS_KEY"
    with pytest.raises(ParameterError, match=missing):
        secrets.ensure_secrets(manager, stack, "board")
    assert [] == list(manager.secrets)


def test_a_value_comes_from_a_file_byte_by_byte(stack, folder):
    (folder / "tls_key").write_bytes(b"\x00key\n")
    manager = Engine()
    assert ["cookie", "tls_key"] == secrets.find_new_secrets(manager, stack, values_dir=str(folder))
    secrets.ensure_secrets(manager, stack, "board", values_dir=str(folder))
    assert b"\x00key\n" == value(manager.secrets.get("tls_key"))


def test_a_value_comes_from_the_environment_and_a_file_goes_before_it(stack, folder, monkeypatch):
    monkeypatch.setenv("RUNBOOK_SECRET_TLS_KEY", "from the environment")
    for name, expected in [("one", b"from the environment"), ("two", b"from a file")]:
        manager = Engine()
        secrets.ensure_secrets(manager, stack, name, values_dir=str(folder))
        assert expected == value(manager.secrets.get("tls_key"))
        (folder / "tls_key").write_text("from a file")


def test_dots_and_dashes_are_underscores_in_the_environment():
    assert "RUNBOOK_SECRET_A_B_C" == secrets.variable("a-b.c")


def test_another_value_than_the_swarm_has_is_refused_with_what_to_do(stack, folder):
    manager = Engine()
    (folder / "tls_key").write_text("first")
    secrets.ensure_secrets(manager, stack, "board", values_dir=str(folder))
    assert [] == secrets.ensure_secrets(manager, stack, "board", values_dir=str(folder))
    (folder / "tls_key").write_text("second")
    with pytest.raises(ConflictError, match=r"stack\.yml:10: tls_key\n  next: give it a new name"):
        secrets.ensure_secrets(manager, stack, "board", values_dir=str(folder))


def test_no_value_can_be_read_from_a_label(stack, folder):
    (folder / "tls_key").write_text("guess me")
    first, second = Engine(), Engine()
    for manager in (first, second):
        secrets.ensure_secrets(manager, stack, "board", values_dir=str(folder))
    hashes = [manager.secrets.get("tls_key").labels["runbook.hash"] for manager in (first, second)]
    assert hashes[0] != hashes[1]


def test_a_secret_that_a_person_made_stays_as_it_is(stack, folder):
    (folder / "tls_key").write_text("another")
    manager = Engine(secrets=[existing("tls_key"), existing("cookie")])
    assert [] == secrets.ensure_secrets(manager, stack, "board", values_dir=str(folder))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda file: file.symlink_to("/etc/hostname"), "and no link"),
        (lambda file: file.mkdir(), "to be a file"),
        (lambda file: file.touch(), "is empty"),
        (lambda file: file.write_bytes(b"x" * 512_000), "more than the 511,999 bytes"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused(stack, folder, make, reason):
    make(folder / "tls_key")
    with pytest.raises(ParameterError, match=reason):
        secrets.ensure_secrets(Engine(), stack, "board", values_dir=str(folder))


def test_a_name_that_is_a_path_is_refused(tmp_path, folder):
    (tmp_path / "key").write_text("x")
    stack = read(tmp_path, STACK.replace("{external: true}", "{external: true, name: ../key}", 1))
    with pytest.raises(ParameterError, match=r"\.\./key: expected a name of letters"):
        secrets.ensure_secrets(Engine(), stack, "board", values_dir=str(folder))


def test_a_folder_that_is_not_there_is_refused(stack):
    with pytest.raises(ParameterError, match="expected values_dir to be a folder"):
        secrets.ensure_secrets(Engine(), stack, "board", values_dir="no/such/folder")


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ("token: {external: {name: real_token}}", ["real_token"]),
        ('token: {external: true, name: "${STAGE:-prod}_token"}', ["prod_token"]),
    ],
)
def test_a_secret_is_known_by_its_real_name(tmp_path, declared, expected):
    stack = read(
        tmp_path,
        "x-runbook: {generated_secrets: [token]}\n"
        "services: {one: {image: 'nginx:1.27', secrets: [token]}}\n"
        f"secrets:\n  {declared}\n",
    )
    assert expected == secrets.find_new_secrets(Engine(), stack)


def test_only_what_a_deployment_made_is_removed():
    mine, used = existing("cookie"), existing("used")
    for secret in (mine, used):
        secret.labels["runbook.stack"] = "board"
    container = {"Secrets": [{"SecretID": "used", "SecretName": "used"}]}
    spec = {"Name": "other_web", "TaskTemplate": {"ContainerSpec": container}}
    manager = Engine(
        secrets=[mine, used, existing("tls_key"), Model("else", {"runbook.stack": "else"})],
        configs=[Model("board_conf", {"runbook.stack": "board"})],
        services=[Service("other_web", spec)],
    )
    assert ["cookie", "board_conf"] == secrets.find_left(manager, "board")
    changes = secrets.remove_secrets(manager, "board")
    assert [] == secrets.find_left(manager, "board")
    assert ["cookie", "board_conf"] == [change.name for change in changes]
    assert ["used", "tls_key", "else"] == [secret.name for secret in manager.secrets]
    assert [] == secrets.remove_secrets(None, "board")


def test_a_secret_that_another_run_has_just_made_is_taken_as_it_is(stack, folder):
    """Two operators deploy at once: the Swarm answers 409 to the slower one."""
    manager = Engine(secrets=[existing("cookie"), existing("tls_key")])
    before = manager.secrets.list()[1:]
    manager.secrets.list = in_turn(before, manager.secrets.list())
    assert [] == secrets.ensure_secrets(manager, stack, "board")
    assert ["cookie", "tls_key"] == [secret.name for secret in manager.secrets]


def test_another_value_in_the_secret_that_another_run_has_just_made_is_told(stack, folder):
    (folder / "tls_key").write_bytes(b"ours")
    theirs = secrets.slow_hash(b"theirs", "salt")
    manager = Engine(
        secrets=[existing("cookie"), existing("tls_key", **{"runbook.hash": f"salt:{theirs}"})]
    )
    before = manager.secrets.list()[:1]
    manager.secrets.list = in_turn(before, manager.secrets.list())
    with pytest.raises(ConflictError, match="tls_key"):
        secrets.ensure_secrets(manager, stack, "board", values_dir=str(folder))


def test_what_another_teardown_has_just_removed_is_no_error():
    def gone():
        raise NotFound("no such secret")

    mine = existing("cookie", **{"runbook.stack": "board"})
    mine.remove = gone
    assert [] == secrets.remove_secrets(Engine(secrets=[mine]), "board")
