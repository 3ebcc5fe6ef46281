"""
Images by digest: pushed from the manager, and run as exactly what was pushed.

Every container of the cluster reaches the registry, so a tag in it proves nothing. What counts is
what the manager's own engine knows: the image that it built, and the digest of its push.
"""

from collections.abc import Mapping
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound

from runbook_lib.core.errors import CommandError

PUSH_ADDRESS = "127.0.0.1:5002"
"""Where the registry takes images: the loopback address of the manager, which no container has."""


def push_name(reference: str) -> str:
    """
    Return the name by which the manager's engine builds and pushes an image of the registry.
    """
    return f"{PUSH_ADDRESS}/{reference.partition('/')[2]}" if "/" in reference else reference


def pinned(manager: docker.DockerClient, references: Mapping[str, str]) -> dict[str, str]:
    """
    Return the references with their digests, by the same names.

    An image that stays on the manager is its id; one that was not pushed has no digest yet.
    """
    return {name: _pin(manager, reference) for name, reference in references.items()}


def is_pinned(reference: str) -> bool:
    """
    Check whether a reference can only mean one image.
    """
    return reference.startswith("sha256:") or "@" in reference


def is_published(manager: docker.DockerClient, reference: str) -> bool:
    """
    Check whether the registry has the image that the manager pushed under this reference.
    """
    return bool(_published(manager, reference, _digests(manager, reference)))


def push(manager: docker.DockerClient, reference: str) -> str:
    """
    Push an image that the manager has under its `push_name`; return the reference with its digest.

    Raises CommandError with the registry's reason.
    """
    digest, reason = "", "no digest"
    for line in manager.images.push(push_name(reference), stream=True, decode=True):
        digest = (line.get("aux") or {}).get("Digest", digest)
        reason = str(line.get("error", reason))
    if not digest:
        raise CommandError(
            f"expected the registry to take {reference}; it did not",
            evidence=reason,
            next_step="check that it runs, on the manager:  docker service ps registry_push",
        )
    return f"{reference}@{digest}"


def _pin(manager: docker.DockerClient, reference: str) -> str:
    digests = _digests(manager, reference)
    if "/" not in reference:
        return digests[0] if digests else reference
    # pushed twice, in two ways: both are ours, and one may be gone with an earlier registry
    known = digests if len(digests) == 1 else _published(manager, reference, digests)
    return f"{reference}@{known[0]}" if known else reference


def _digests(manager: docker.DockerClient, reference: str) -> list[str]:
    try:
        image: Any = manager.images.get(push_name(reference))
    except ImageNotFound:
        return []
    if "/" not in reference:
        return [str(image.id)]
    repository = push_name(reference).rpartition(":")[0]
    pairs = [each.split("@") for each in image.attrs.get("RepoDigests") or []]
    return sorted(digest for name, digest in pairs if name == repository)


def _published(manager: docker.DockerClient, reference: str, digests: list[str]) -> list[str]:
    found = []
    for digest in digests if "/" in reference else []:
        try:
            # through the engine: from outside of the cluster, the registry is not reachable
            manager.images.get_registry_data(f"{reference}@{digest}")
        except APIError:
            continue
        found.append(digest)
    return found
