"""
Images by digest: what the manager's engine knows counts, and not what a tag in the registry means.
"""

import pytest

from runbook_lib.core.errors import CommandError
from runbook_lib.stacks.building.digests import is_pinned, is_published, pinned, push
from runbook_lib.stacks.images import find_unpublished
from tests.fakes.docker_http import engine_of

REFERENCE = "10.0.0.4:5001/me/app:0a1b"
A, B = ("sha256:" + digit * 64 for digit in "ab")


def engine(own=(), registry=()):
    """An engine that has pushed the digests `own`, and a registry with the names `registry`."""

    def answer(path, _, body):
        name = path.partition("/")[2].partition("/")[2].removesuffix("/json")
        if path.startswith("/images/") and own and name == "127.0.0.1:5002/me/app:0a1b":
            digests = [f"127.0.0.1:5002/me/app@{digest}" for digest in own]
            return 200, {"Id": "sha256:id", "RepoDigests": ["10.0.0.4:5001/me/app@" + B, *digests]}
        if path.startswith("/distribution/") and name in registry:
            return 200, {"Descriptor": {"digest": name.partition("@")[2] or B}, "Platforms": []}
        return 404, {"message": "no such image"}

    return engine_of(answer)


def test_a_planted_tag_is_not_a_published_image():
    """Any container could push it; the manager has not."""
    with engine(registry=[REFERENCE]) as manager:
        assert [REFERENCE] == find_unpublished(manager, {"me/app": REFERENCE})
        assert {"me/app": REFERENCE} == pinned(manager, {"me/app": REFERENCE})


def test_a_planted_tag_does_not_hide_that_the_pushed_image_is_gone():
    with engine(own=[A], registry=[REFERENCE]) as manager:
        assert not is_published(manager, REFERENCE)
        assert {"me/app": f"{REFERENCE}@{A}"} == pinned(manager, {"me/app": REFERENCE})


def test_what_the_manager_pushed_is_published_while_the_registry_has_that_digest():
    with engine(own=[A], registry=[f"{REFERENCE}@{A}"]) as manager:
        assert [] == find_unpublished(manager, {"me/app": REFERENCE})


def test_of_two_pushes_the_one_that_the_registry_has_is_run():
    """Another version of Docker compresses differently, and the registry began anew since."""
    with engine(own=[A, B], registry=[f"{REFERENCE}@{B}"]) as manager:
        assert {"me/app": f"{REFERENCE}@{B}"} == pinned(manager, {"me/app": REFERENCE})


def test_a_push_goes_to_the_loopback_address_and_says_its_digest():
    asked = []

    def answer(path, _, _body):
        asked.append(path)
        return 200, {"aux": {"Tag": "0a1b", "Digest": A, "Size": 1}}

    with engine_of(answer) as manager:
        assert f"{REFERENCE}@{A}" == push(manager, REFERENCE)
    assert ["/images/127.0.0.1:5002/me/app/push?tag=0a1b"] == asked


@pytest.mark.parametrize(("said", "seen"), [({"error": "denied"}, "denied"), ({}, "no digest")])
def test_a_push_that_is_refused_is_told_with_the_reason(said, seen):
    with (
        engine_of(lambda *_: (200, said)) as manager,
        pytest.raises(CommandError, match=f"(?s)take {REFERENCE}.*{seen}.*registry_push"),
    ):
        push(manager, REFERENCE)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [(f"{REFERENCE}@{A}", True), (A, True), (REFERENCE, False), ("registry:0a1b", False)],
)
def test_a_reference_means_one_image_by_digest_or_id_alone(reference, expected):
    assert expected == is_pinned(reference)
