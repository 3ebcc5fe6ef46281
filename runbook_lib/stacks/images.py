"""
Images of a stack: built on the nodes, all at once, and given out by the registry.
"""

import io
import itertools
import tarfile
from collections.abc import Mapping

import docker
from docker.errors import BuildError, ImageNotFound

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import CommandError, NotFoundError
from runbook_lib.core.parallel import for_each
from runbook_lib.stacks.stack_file import Build, source_files

_REGISTRY = "registry_registry"


def references(builds: Mapping[str, Build], registry: str) -> dict[str, str]:
    """
    The full reference of each image; without a registry (""), the image stays on the manager.
    """
    prefix = f"{registry}/" if registry else ""
    return {name: f"{prefix}{name}:{build.tag}" for name, build in builds.items()}


def ensure_built(
    engines: Mapping[str, docker.DockerClient], wanted: Mapping[str, Build]
) -> Changes:
    """
    Build the images that neither their engine nor their registry has, all at once.

    The guide builds everything on the manager, one after the other. Here the images are dealt out
    to the engines in their order: a t2.micro has one CPU.

    Parameters
    ----------
    wanted
        The reference of each image, and its build. The first goes to the first engine: an image
        without a registry in its reference belongs there.

    Raises
    ------
    CommandError
        Naming each image that does not build, with the last lines of its build.
    """
    changes = Changes()
    turns = dict(zip(wanted, itertools.cycle(engines.items()), strict=False))

    def one(reference: str) -> None:
        role, engine = turns[reference]
        build = wanted[reference]
        if not has_image(engine, reference) and not _is_pushed(engine, reference):
            _build(engine, build, reference)
            changes.add("image", build.name, f"built {build.tag} on {role}")

    for_each("Images built", {reference: reference for reference in wanted}, one)
    return changes


def ensure_pushed(
    engines: Mapping[str, docker.DockerClient], wanted: Mapping[str, Build]
) -> Changes:
    """
    Push what the registry does not have, from the engines that built it, all at once.
    """
    changes = Changes()

    def one(reference: str) -> None:
        if not _is_pushed(next(iter(engines.values())), reference):
            owners = [engine for engine in engines.values() if has_image(engine, reference)]
            if not owners:
                raise NotFoundError(
                    f"expected an engine that has {reference}; none has it",
                    next_step="run 06_work_stack from its beginning: it builds what is missing",
                )
            _push(owners[0], reference)
            changes.add("image", wanted[reference].name, f"pushed {wanted[reference].tag}")

    for_each("Images pushed", {reference: reference for reference in wanted}, one)
    return changes


def check_registry(manager: docker.DockerClient, address: str) -> None:
    """
    Raise where no registry runs on the manager.

    Raises
    ------
    NotFoundError
        It is a stack of its own that 06_work_stack deploys with the first images.
    """
    services = manager.services.list(filters={"name": _REGISTRY})
    tasks = [
        t for s in services if s.name == _REGISTRY for t in s.tasks({"desired-state": "running"})
    ]
    states = [str(task["Status"]["State"]) for task in tasks]
    if "running" not in states:
        raise NotFoundError(
            f"expected the registry to run at {address}; it does not",
            evidence=f"its tasks: {', '.join(states)}" if states else "there is no such stack",
            next_step="run 06_work_stack: it deploys the registry",
        )


def find_pushed(manager: docker.DockerClient, images: Mapping[str, str]) -> list[str]:
    """
    Those of the references that the registry has.
    """
    return [reference for reference in images.values() if _is_pushed(manager, reference)]


def has_image(engine: docker.DockerClient, reference: str) -> bool:
    """
    Whether an engine holds an image, under this very reference.
    """
    try:
        engine.images.get(reference)
    except ImageNotFound:
        return False
    return True


def _is_pushed(engine: docker.DockerClient, reference: str) -> bool:
    """
    Ask the registry through an engine: only the `worker` group can reach it.
    """
    if "/" not in reference:
        return False
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
