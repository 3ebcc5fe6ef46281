"""
Images of a stack: built and pushed on the manager, and distributed by the registry.
"""

import copy
import re
import tempfile
from collections.abc import Mapping, Sequence

import docker
from docker.errors import APIError, BuildError, ImageNotFound

from runbook_lib.cloud.instances import Instance
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import CommandError, NotFoundError
from runbook_lib.core.parallel import for_each
from runbook_lib.hosts.clusters import Cluster
from runbook_lib.hosts.engine import REGISTRY_PORT
from runbook_lib.stacks import deploy
from runbook_lib.stacks.building import builds as sources
from runbook_lib.stacks.building.bases import BASES, ensure_bases
from runbook_lib.stacks.building.builds import Build
from runbook_lib.stacks.building.contexts import write_context
from runbook_lib.stacks.building.digests import is_published, push, push_name
from runbook_lib.stacks.building.pulled import use_registry_auth
from runbook_lib.stacks.building.references import HUB, read_reference
from runbook_lib.stacks.compose import reading
from runbook_lib.stacks.running.containers import find_services


def registry_address(manager: Instance) -> str:
    """
    Return the registry's address for the nodes.
    """
    return f"{manager.private_ip}:{REGISTRY_PORT}"


def references(builds: Mapping[str, Build], registry: str) -> dict[str, str]:
    """
    Return the full reference of each image, by every name that the stack has for it; without a
    registry (""), it stays on the manager.

    The image `geo-diff` is `172.31.0.4:5001/geo-diff:<hash>` there, and `example.com:5000/a/b:web`
    is `172.31.0.4:5001/example.com-5000/a/b:web-<hash>`.
    """
    return {n: _published(build, registry) for build in builds.values() for n in build.names}


def ensure_published(
    here: Cluster,
    builds: Mapping[str, Build],
    registry_auth_file: str = "",
    base_images: Sequence[str] = (),
) -> Changes:
    """
    Start the registry, build the images that the manager lacks, and push them.

    The registry is a stack on the manager. Nobody else builds or pushes: a node, or a container of
    it, that is not what it was cannot say what runs on the manager. Images to build upon may need a
    login: those of a Docker `config.json` are used. `base_images` pins them; what was built upon
    another one is built again.

    Raises what `ensure_bases` raises; CommandError with each image that does not build, and the
    last lines of its build.
    """
    manager = here.engines["manager"]
    registry = registry_address(here.instances["manager"])
    use_registry_auth({"manager": manager}, registry_auth_file)
    stack = reading.read("stacks/registry/stack.yml")
    own = sources.builds(stack)
    images = references(own, "")
    wanted = {_published(build, registry): build for build in builds.values()}
    # the registry's own image is not pushed: the manager runs it by its id
    first = {_published(build, ""): build for build in own.values()}
    bases = ensure_bases(manager, [*own.values(), *builds.values()], base_images)
    changes = _build_missing(manager, first | wanted, bases, is_pinned=bool(base_images))
    changes += deploy.ensure_stack(here, manager, stack, "registry", images=images)
    deploy.wait_for_stack(manager, "registry")
    changes.extend(_push_missing(manager, wanted))
    return changes


def check_registry(manager: docker.DockerClient, address: str) -> None:
    """
    Raise NotFoundError if no registry runs on the manager: 06_work_stack deploys it.
    """
    services = [s for s in find_services(manager, "registry") if s.name == "registry_registry"]
    tasks = [task for s in services for task in s.tasks({"desired-state": "running"})]
    states = [str(task["Status"]["State"]) for task in tasks]
    if "running" not in states:
        raise NotFoundError(
            f"expected the registry to run at {address}; it does not",
            evidence=f"its tasks: {', '.join(states)}" if states else "there is no such stack",
            next_step="run 06_work_stack: it deploys the registry",
        )


def find_unpublished(manager: docker.DockerClient, images: Mapping[str, str]) -> list[str]:
    """
    Find the references whose image, as the manager pushed it, is missing in the registry.
    """
    wanted = dict.fromkeys(images.values())
    return [reference for reference in wanted if not is_published(manager, reference)]


def has_image(engine: docker.DockerClient, reference: str) -> bool:
    """
    Check whether an engine has an image under exactly this reference.
    """
    try:
        engine.images.get(reference)
    except ImageNotFound:
        return False
    return True


def build_image(engine: docker.DockerClient, build: Build, reference: str, bases: str = "") -> None:
    """
    Build an image on an engine, with all that the stack file says, and a label with its bases.

    Raises CommandError with the last lines of a build that failed.
    """
    options = copy.deepcopy(dict(build.options))  # the SDK adds proxies to them
    options["labels"] = {**options.get("labels", {}), BASES: bases}
    try:
        with tempfile.TemporaryFile() as context:
            dockerfile = write_context(build.context, *build.dockerfile_source, context)
            context.seek(0)
            engine.images.build(
                fileobj=context,
                custom_context=True,
                dockerfile=dockerfile,
                tag=reference,
                rm=True,
                forcerm=True,
                timeout=900,
                **options,
            )
    except (BuildError, APIError) as error:
        # an APIError: the Dockerfile was not begun, for example with an unknown target
        log = getattr(error, "build_log", ())
        lines = [str(entry.get("stream") or entry.get("error") or "") for entry in log]
        raise CommandError(
            f"expected image {build.name} to build; it did not: "
            f"{getattr(error, 'explanation', None) or error}",
            evidence="".join(lines)[-1500:],
            next_step=f"correct {build.context.name}/{build.dockerfile}, then run this again",
        ) from error


def _build_missing(
    manager: docker.DockerClient,
    wanted: Mapping[str, Build],
    bases: Mapping[str, str],
    *,
    is_pinned: bool,
) -> Changes:
    changes = Changes()

    def one(reference: str) -> None:
        build, name = wanted[reference], push_name(reference)
        upon = bases.get(build.name, "")
        if has_image(manager, name) and not (is_pinned and _label(manager, name) != upon):
            return
        build_image(manager, build, name, upon)
        changes.add("image", build.name, f"built {build.tag}" + (f" upon {upon}" if upon else ""))

    # two at once: one unpacks while the other downloads, and both fit in a small manager's memory
    for_each("Images built", {reference: reference for reference in wanted}, one, at_once=2)
    return changes


def _label(engine: docker.DockerClient, name: str) -> str:
    return str(engine.images.get(name).labels.get(BASES, ""))


def _push_missing(manager: docker.DockerClient, wanted: Mapping[str, Build]) -> Changes:
    changes = Changes()

    def one(reference: str) -> None:
        if not is_published(manager, reference):
            digest = push(manager, reference).partition("@")[2]
            changes.add(
                "image", wanted[reference].name, f"pushed {wanted[reference].tag}, {digest}"
            )

    for_each("Images pushed", {reference: reference for reference in wanted}, one)
    return changes


def _published(build: Build, registry: str) -> str:
    image = read_reference(build.name)
    path = image.short_path
    if image.domain != HUB:  # a registry in front of another is a folder of ours
        path = f"{re.sub('[^a-z0-9.]+', '-', image.domain.lower()).strip('-')}/{image.path}"
    tag = build.tag if image.tag == "latest" else f"{image.tag[:100]}-{build.tag}"
    return f"{registry}/{path}:{tag}" if registry else f"{path}:{tag}"
