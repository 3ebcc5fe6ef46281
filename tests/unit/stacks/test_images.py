"""
Images: built by an engine as the stack file says, and the registry that brings them to the nodes.
"""

import io
import tarfile
from urllib.parse import parse_qs, urlsplit

import pytest

from runbook_lib.core.errors import CommandError, NotFoundError
from runbook_lib.stacks.building.builds import builds
from runbook_lib.stacks.compose.reading import read
from runbook_lib.stacks.images import build_image, check_registry
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
        build_image(engine, build, "10.0.0.4:5001/me/app:h")

    wanted = {
        "t": "10.0.0.4:5001/me/app:h",
        "dockerfile": "Dockerfile",
        "target": "s",
        "buildargs": '{"V": "2"}',
        "labels": '{"a": "b"}',
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
