"""
The images to build upon: pinned by digest, pulled under it, and told.
"""

from urllib.parse import parse_qs, urlsplit

import pytest

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.stacks.building.bases import ensure_bases, read_pins
from runbook_lib.stacks.building.builds import builds
from runbook_lib.stacks.building.references import read_reference
from runbook_lib.stacks.compose.reading import read
from tests.fakes.docker_http import engine_of

A, B = ("sha256:" + digit * 64 for digit in "ab")


class Hub:
    """An engine with images by name, and a registry where tags mean digests."""

    def __init__(self, has=(), tags=(), digests=()):
        self.has = dict(has)
        self.tags, self.digests = dict(tags), set(digests)
        self.pulled = []

    def answer(self, path, _, __):
        asked = {key: value[0] for key, value in parse_qs(urlsplit(path).query).items()}
        if path.startswith("/images/create"):
            name, tag = asked["fromImage"], asked["tag"]
            self.pulled.append(f"{name}:{tag}")
            digest = tag if tag in self.digests else self.tags.get(f"{name}:{tag}")
            if not digest:
                return 404, {"message": "manifest unknown"}
            self.has[f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"] = digest
            return 200, {"status": "done"}
        if "/tag?" in path:
            source = path.removeprefix("/images/").partition("/tag?")[0]
            self.has[f"{asked['repo']}:{asked['tag']}"] = self.has[source]
            return 201, {}
        name = path.removeprefix("/images/").removesuffix("/json")
        if name in self.has:
            own = {"Id": name, "RepoDigests": [f"debian@{self.has[name]}"]}
            return 200, own
        return 404, {"message": f"No such image: {name}"}


@pytest.fixture
def stack(tmp_path):
    """Two stages, one base; an argument; and nothing at all."""
    texts = {
        "two": "FROM debian:trixie-slim AS one\nFROM debian:trixie-slim\nCOPY --from=one /a /a\n",
        "argument": "ARG BASE\nFROM ${BASE}\n",
        "nothing": "FROM scratch\n",
    }
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text(text)
    lines = [f"  {name}: {{build: ./{name}, image: {name}}}" for name in texts]
    (tmp_path / "stack.yml").write_text("\n".join(["services:", *lines, ""]))
    return list(builds(read(tmp_path / "stack.yml")).values())


def test_a_pinned_base_is_pulled_by_its_digest_whatever_its_tag_means(stack):
    """The Dockerfile's name is that image then, so it needs no change."""
    hub = Hub(has=[("debian:trixie-slim", B)], tags=[("debian:trixie-slim", B)], digests=[A, B])
    with engine_of(hub.answer) as manager:
        found = ensure_bases(manager, stack, [f"debian:trixie-slim@{A}"])

    assert {"two": f"debian:trixie-slim@{A}"} == found
    assert [f"debian:{A}"] == hub.pulled
    assert A == hub.has["debian:trixie-slim"]


def test_a_base_that_the_manager_has_stays_and_is_told(stack):
    hub = Hub(has=[("debian:trixie-slim", A)], tags=[("debian:trixie-slim", B)])
    with engine_of(hub.answer) as manager:
        assert {"two": f"debian:trixie-slim@{A}"} == ensure_bases(manager, stack)
        assert {"two": f"debian:trixie-slim@{A}"} == ensure_bases(
            manager, stack, [f"debian:trixie-slim@{A}", f"other@{B}"]
        )
    assert [] == hub.pulled


def test_without_one_the_tag_is_pulled_once(stack):
    hub = Hub(tags=[("debian:trixie-slim", B)])
    with engine_of(hub.answer) as manager:
        ensure_bases(manager, stack)
        assert {"two": f"debian:trixie-slim@{B}"} == ensure_bases(manager, stack)
    assert ["debian:trixie-slim"] == hub.pulled


def test_a_pin_that_no_registry_has_is_named(stack):
    hub = Hub(tags=[("debian:trixie-slim", B)])
    with (
        engine_of(hub.answer) as manager,
        pytest.raises(NotFoundError, match=r"(?s)trixie-slim: manifest unknown.*base_images"),
    ):
        ensure_bases(manager, stack, [f"debian:trixie-slim@{A}"])


def test_a_tag_counts_as_latest_and_what_is_no_pin_is_refused_with_all_of_its_kind():
    assert {read_reference("debian"): A} == read_pins([f"debian@{A}"])
    with pytest.raises(ParameterError, match=r"(?s)debian:12 has no digest.*not 'X'") as caught:
        read_pins(["debian:12", f"X@{A}"])
    assert "next: 06 shows" in str(caught.value)
