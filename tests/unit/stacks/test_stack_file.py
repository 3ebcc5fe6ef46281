"""
Stack files: any Compose v3 file is read, and rendered for one deployment.
"""

import pytest
import yaml

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.stacks.building.builds import builds, sources_hash
from runbook_lib.stacks.compose.reading import read
from runbook_lib.stacks.compose.rendering import keeps_replicas, render

STACK = """
version: "3.8"
services:
  web:
    build: {context: ./images/web}
    image: web
  pool:
    build: {context: ./images/web}
    image: web
    deploy: {replicas: 4, labels: {runbook.replicas: live}}
  cache:
    image: redis:7
secrets:
  token: {external: true}
  other: {external: true, name: real_name}
  file_secret: {file: ./x}
"""


@pytest.fixture
def stack(tmp_path):
    """A stack of two built services and one pulled."""
    context = tmp_path / "images" / "web"
    context.mkdir(parents=True)
    (context / "Dockerfile").write_text("FROM debian:trixie-slim\n")
    path = tmp_path / "stack.yml"
    path.write_text(STACK)
    return read(path)


def rendered(stack, images, replicas):
    [text] = render(stack, images, replicas)
    return yaml.safe_load(text)


def test_services_that_share_an_image_are_built_once(stack):
    assert ["web"] == list(builds(stack))


def test_the_tag_changes_with_the_sources_only(stack):
    context = builds(stack)["web"].context
    first = sources_hash(context)
    (context / "__pycache__").mkdir()
    (context / "__pycache__" / "x.pyc").write_bytes(b"1")
    assert first == sources_hash(context)

    (context / "Dockerfile").write_text("FROM debian:bookworm-slim\n")
    assert first != sources_hash(context)


def test_an_executable_bit_changes_the_tag(stack):
    context = builds(stack)["web"].context
    first = sources_hash(context)
    (context / "Dockerfile").chmod(0o755)

    assert first != sources_hash(context)


def test_rendering_replaces_built_images_and_leaves_pulled_ones(stack):
    services = rendered(stack, {"web": "10.0.0.1:5001/web:abc"}, {})["services"]

    assert "10.0.0.1:5001/web:abc" == services["web"]["image"]
    assert "build" not in services["web"]
    assert "redis:7" == services["cache"]["image"]


def test_an_autoscaled_service_keeps_the_replicas_that_it_has(stack):
    services = rendered(stack, {"web": "x"}, {"pool": 7})["services"]

    assert 7 == services["pool"]["deploy"]["replicas"]
    assert keeps_replicas(stack.services["pool"])
    assert not keeps_replicas(stack.services["web"])


def test_only_external_secrets_are_ours_to_make_and_by_their_real_names(stack):
    assert ["token", "real_name"] == stack.external_secrets


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NotFoundError, match=r"nowhere\.yml"):
        read(tmp_path / "nowhere.yml")


def test_a_file_without_services_is_refused(tmp_path):
    (tmp_path / "empty.yml").write_text("version: '3'\n")

    with pytest.raises(ParameterError, match="with services"):
        read(tmp_path / "empty.yml")


def test_a_context_without_a_dockerfile_is_named_with_its_service(stack):
    (builds(stack)["web"].context / "Dockerfile").unlink()

    with pytest.raises(NotFoundError, match="service 'web'"):
        builds(stack)


OVERLAY = """
services:
  web: {environment: {PORT: "1"}}
  cache: {image: redis:8, deploy: {labels: [a=b]}}
  guard: {image: guard}
volumes:
  extra: {}
"""


@pytest.fixture
def laid_over(stack, tmp_path):
    """The same stack with an overlay in a folder of its own."""
    over = tmp_path / "overlays" / "over.yml"
    over.parent.mkdir()
    over.write_text(OVERLAY)
    return read(stack.path, [str(over)])


def test_an_overlay_changes_adds_and_leaves_the_rest(stack, laid_over):
    assert {"PORT": "1"} == laid_over.services["web"]["environment"]
    assert "redis:8" == laid_over.services["cache"]["image"]
    assert stack.services["pool"] == laid_over.services["pool"]
    assert {*stack.services, "guard"} == set(laid_over.services)
    assert stack.external("secrets") == laid_over.external("secrets")


def test_builds_are_found_from_the_stack_file_whatever_lies_over_it(stack, laid_over):
    assert builds(stack) == builds(laid_over)


def test_every_service_says_with_which_overlays_it_was_deployed(stack, laid_over):
    services = rendered(laid_over, {"web": "x"}, {"pool": 7})["services"]

    said = {name: spec["deploy"]["labels"] for name, spec in services.items()}
    names = {label["runbook.overlays"] for label in said.values()}
    assert {laid_over.overlays[0]} == names
    assert "b" == said["cache"]["a"]
    assert "live" == said["pool"]["runbook.replicas"]
    assert 7 == services["pool"]["deploy"]["replicas"]
    assert "overlays" not in render(stack, {"web": "x"}, {})[0]


def test_a_missing_overlay_is_named(stack):
    with pytest.raises(NotFoundError, match=r"no_such_overlay\.yml"):
        read(stack.path, ["no_such_overlay.yml"])
