"""
Images: built by an engine as the stack file says, and the registry that brings them to the nodes.
"""

import io
import tarfile
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import CommandError, NotFoundError
from runbook_lib.stacks import deploy
from runbook_lib.stacks.building.builds import builds
from runbook_lib.stacks.compose.reading import read
from runbook_lib.stacks.images import build_image, check_registry, ensure_published
from tests.fakes.docker import Engine, Service, task
from tests.fakes.docker_http import engine_of


def manager(**states):
    return Engine(
        services=[Service(name) for name in states],
        tasks=lambda filters: [task(states[filters["service"]])],
    )


def test_a_registry_that_runs_is_fine():
    check_registry(manager(registry_registry="running"), "10.0.0.4:5001")


def test_without_one_the_notebook_that_deploys_it_is_named():
    """Docker's filter takes a part of a name for the name."""
    with pytest.raises(NotFoundError, match=r"(?s)10.0.0.4:5001.*no such stack.*06_work_stack"):
        check_registry(manager(my_registry_registry="running"), "10.0.0.4:5001")


def test_one_that_does_not_start_is_reported_with_its_tasks():
    with pytest.raises(NotFoundError, match="its tasks: preparing"):
        check_registry(manager(registry_registry="preparing"), "10.0.0.4:5001")


@pytest.fixture
def build(tmp_path):
    """A build with a target, an argument and something to ignore."""
    (tmp_path / "a").mkdir()
    for name, text in {
        "Dockerfile": "FROM scratch AS s\n",
        ".env": "x",
        ".dockerignore": ".env",
    }.items():
        (tmp_path / "a" / name).write_text(text)
    (tmp_path / "stack.yml").write_text(
        "services: {a: {image: me/app, build: {context: ./a, target: s, args: {V: '2'},"
        " network: none, shm_size: 1k, labels: {a: b}, extra_hosts: ['db=10.0.0.9']}}}"
    )
    return builds(read(tmp_path / "stack.yml"))["me/app"]


def test_the_engine_gets_all_that_the_stack_file_says(build):
    got = {}

    def answer(path, _, body):
        if path.startswith("/build"):
            got.update(query=parse_qs(urlsplit(path).query), context=body)
            return 200, {"stream": "Successfully built abc123\n"}
        return 200, {"Id": "abc123"}

    with engine_of(answer) as engine:
        build_image(engine, build, "10.0.0.4:5001/me/app:h", "debian:trixie-slim@sha256:1")

    wanted = {
        "t": "10.0.0.4:5001/me/app:h",
        "dockerfile": "Dockerfile",
        "target": "s",
        "buildargs": '{"V": "2"}',
        "labels": '{"a": "b", "runbook.bases": "debian:trixie-slim@sha256:1"}',
        "networkmode": "none",
        "shmsize": "1024",
        "extrahosts": "db:10.0.0.9",
    }
    assert wanted == {key: got["query"][key][0] for key in wanted}
    with tarfile.open(fileobj=io.BytesIO(got["context"])) as tar:
        assert [".dockerignore", "Dockerfile"] == tar.getnames()


@pytest.mark.parametrize(
    ("code", "content"),
    [(400, {"message": "unknown instruction: RUM"}), (200, {"error": "unknown instruction: RUM"})],
)
def test_an_image_that_does_not_build_is_named_with_the_reason(build, code, content):
    with (
        engine_of(lambda *_: (code, content)) as engine,
        pytest.raises(CommandError, match=r"(?s)me/app.*unknown instruction.*a/Dockerfile"),
    ):
        build_image(engine, build, "x")


def test_an_image_is_built_and_pushed_by_the_manager_alone_whatever_the_registry_has(
    build, monkeypatch
):
    """Its tag was planted in the registry; and no worker is asked to build or push."""
    monkeypatch.setattr(deploy, "ensure_stack", lambda *_, **__: Changes())
    monkeypatch.setattr(deploy, "wait_for_stack", lambda *_: None)
    name, digest = f"127.0.0.1:5002/me/app:{build.tag}", "sha256:" + "a" * 64
    has, asked = {"debian:trixie-slim": {"Id": "d", "RepoDigests": [f"debian@{BASE}"]}}, []

    def answer(path, *_):
        asked.append(path.partition("?")[0])
        if path.startswith("/build"):
            has[parse_qs(urlsplit(path).query)["t"][0]] = {"Id": "sha256:1", "RepoDigests": []}
            return 200, {"stream": "Successfully built abc123\n"}
        if path.startswith("/images/") and "/push" in path:
            has[name]["RepoDigests"] = [f"127.0.0.1:5002/me/app@{digest}"]
            return 200, {"aux": {"Digest": digest}}
        if path.startswith("/distribution/"):
            return 200, {"Descriptor": {"digest": "sha256:" + "b" * 64}, "Platforms": []}
        wanted = path.removeprefix("/images/").removesuffix("/json")
        if wanted == "abc123" or wanted in has:
            return 200, has.get(wanted, {"Id": "sha256:1"})
        return 404, {"message": f"No such image: {wanted}"}

    with engine_of(answer) as engine:
        here = SimpleNamespace(
            engines={"manager": engine, "worker-1": None},
            instances={"manager": SimpleNamespace(private_ip="10.0.0.4")},
        )
        first = ensure_published(here, {"me/app": build})
        second = ensure_published(here, {"me/app": build})

    upon = f" upon debian:trixie-slim@{BASE}"
    assert {("me/app", f"built {build.tag}"), ("registry", f"built {own_tag()}{upon}")} == {
        (c.name, c.action) for c in first if "built" in c.action
    }
    assert [f"pushed {build.tag}, {digest}"] == [c.action for c in first][2:]
    assert name in has
    assert [] == second


BASE = "sha256:" + "d" * 64


def own_tag():
    (own,) = builds(read("stacks/registry/stack.yml")).values()
    return own.tag
