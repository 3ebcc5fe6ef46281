"""
Images of a stack: built on the nodes, all at once, and given out by the registry.
"""

import io
import itertools
import tarfile
from collections.abc import Mapping

import docker
from docker.errors import BuildError, ImageNotFound

from runbook_lib.changes import Changes
from runbook_lib.errors import CommandError
from runbook_lib.parallel import for_each
from runbook_lib.stack_file import Build, source_files


def references(builds: Mapping[str, Build], registry: str) -> dict[str, str]:
    """
    The full reference of each image; without a registry (""), the image stays on the manager.
    """
    prefix = f"{registry}/" if registry else ""
    return {name: f"{prefix}{name}:{build.tag}" for name, build in builds.items()}


def ensure_images(
    engines: Mapping[str, docker.DockerClient], builds: Mapping[str, Build], registry: str
) -> Changes:
    """
    Build and push what the registry does not have; the tag is a hash of the sources.

    The guide builds everything on the manager. Here the images are dealt out to the engines, each
    is built on one of them and all at once: a t2.micro has one CPU. Without a registry (""), the
    image is for the engine that builds it.

    Raises
    ------
    CommandError
        Naming each image that does not build, with the last lines of its build.
    """
    changes = Changes()
    wanted = references(builds, registry)
    turns = dict(zip(builds, itertools.cycle(engines.items()), strict=False))

    def one(build: Build) -> None:
        role, engine = turns[build.name]
        reference = wanted[build.name]
        if registry and _is_pushed(engine, reference):
            return
        if not _has(engine, reference):
            _build(engine, build, reference)
            changes.add("image", build.name, f"built {build.tag} on {role}")
        if registry:
            _push(engine, reference)
            changes.add("image", build.name, f"pushed to {registry}")

    for_each("Images built and pushed", builds, one)
    return changes


def find_pushed(manager: docker.DockerClient, images: Mapping[str, str]) -> list[str]:
    """
    Those of the references that the registry has.
    """
    return [reference for reference in images.values() if _is_pushed(manager, reference)]


def _has(engine: docker.DockerClient, reference: str) -> bool:
    try:
        engine.images.get(reference)
    except ImageNotFound:
        return False
    return True


def _is_pushed(engine: docker.DockerClient, reference: str) -> bool:
    """
    Ask the registry through an engine: only the `worker` group can reach it.
    """
    try:
        engine.images.get_registry_data(reference)
    except docker.errors.APIError:
        return False
    return True


def _build(engine: docker.DockerClient, build: Build, reference: str) -> None:
    try:
        engine.images.build(
            fileobj=_context(build),
            custom_context=True,
            dockerfile=build.dockerfile,
            tag=reference,
            rm=True,
            forcerm=True,
            timeout=900,
        )
    except BuildError as error:
        lines = [str(entry.get("stream") or entry.get("error") or "") for entry in error.build_log]
        raise CommandError(
            f"expected image {build.name} to build; it did not: {error}",
            evidence="".join(lines)[-1500:],
            next_step=f"mend {build.context.name}/{build.dockerfile}, then run this notebook again",
        ) from error


def _context(build: Build) -> io.BytesIO:
    """
    The build context as a tar whose bytes depend on the sources alone.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for file in source_files(build.context):
            info = tar.gettarinfo(file, str(file.relative_to(build.context)))
            info.mtime, info.uid, info.gid, info.uname, info.gname = 0, 0, 0, "", ""
            with file.open("rb") as content:
                tar.addfile(info, content)
    buffer.seek(0)
    return buffer


def _push(engine: docker.DockerClient, reference: str) -> None:
    for line in engine.images.push(reference, stream=True, decode=True):
        if "error" in line:
            raise CommandError(
                f"expected the registry to take {reference}; it did not",
                evidence=str(line["error"]),
                next_step="check that the registry runs:  docker service ps registry_registry",
            )
