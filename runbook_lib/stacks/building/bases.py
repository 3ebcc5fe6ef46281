"""
The images that others are built upon, each with its digest.

A tag such as `debian:trixie-slim` means another image every few weeks, and whoever can change it
writes a part of all that is built here. A pin says which one is meant.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import docker
from docker.errors import APIError, ImageNotFound

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.core.words import printable
from runbook_lib.stacks.building.builds import Build, bases_of
from runbook_lib.stacks.building.references import Reference, read_reference

BASES = "runbook.bases"
"""The label of an image that is built here: what it is built upon, each with its digest."""


def read_pins(texts: Iterable[str]) -> dict[Reference, str]:
    """
    Read pins such as `debian:trixie-slim@sha256:…`: the digest of each reference.

    Raises ParameterError with all that are none.
    """
    pins, wrong = {}, []
    for text in texts:
        try:
            reference = read_reference(text)
        except ParameterError as error:
            wrong.append(str(error))
            continue
        if not reference.digest:
            wrong.append(f"{text} has no digest")
        pins[replace(reference, tag=reference.tag or "latest", digest="")] = reference.digest
    if wrong:
        raise ParameterError(
            "base_images: expected each as NAME:TAG@sha256:DIGEST",
            evidence="\n".join(wrong),
            next_step="06 shows what it built upon: copy it from there",
        )
    return pins


def ensure_bases(
    manager: docker.DockerClient, builds: Sequence[Build], texts: Iterable[str] = ()
) -> dict[str, str]:
    """
    Have the images that the builds stand on, the pinned ones under their digest; return what each
    build stands on, by its name.

    A base that the manager has already stays as it is, unless a pin says otherwise: so one cluster
    builds upon one image. What a Dockerfile names by an argument is not seen.

    Raises ParameterError if a pin is none; NotFoundError with each base that cannot be had.
    """
    pins = read_pins(texts)
    bases = {base for build in builds for base in bases_of(build)}
    digests, missing = {}, []
    for base in sorted(bases, key=str):
        try:
            digests[base] = _ensure(manager, base, base.digest or pins.get(base, ""))
        except APIError as error:
            missing.append(f"{base.name}: {printable(str(error.explanation or error))[-200:]}")
    if missing:
        raise NotFoundError(
            "expected the images to build upon, as tags or as base_images pins them",
            evidence="\n".join(missing),
            next_step="correct base_images, or the FROM of the Dockerfile; then run this again",
        )
    return {
        build.name: ", ".join(f"{base.name.partition('@')[0]}@{digests[base]}" for base in its)
        for build in builds
        if (its := bases_of(build))
    }


def _ensure(manager: docker.DockerClient, base: Reference, digest: str) -> str:
    its = _find_digests(manager, base)
    if digest and digest not in (its or []):
        pulled = manager.images.pull(f"{base.short_path}@{digest}")
        if not base.digest:
            pulled.tag(base.short_path, base.tag)  # the name in the Dockerfile
    elif its is None:
        manager.images.pull(base.short_path, tag=base.tag)
    found = digest or next(iter(_find_digests(manager, base) or []), "")
    return found or "none: it was made on this manager"


def _find_digests(manager: docker.DockerClient, base: Reference) -> list[str] | None:
    try:
        image = manager.images.get(base.name)
    except ImageNotFound:
        return None
    pairs = [each.split("@") for each in image.attrs.get("RepoDigests") or []]
    return [digest for name, digest in pairs if name == base.short_path]
