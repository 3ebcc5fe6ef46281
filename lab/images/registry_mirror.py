"""
The stand-in for Docker Hub: a registry on the lab network that has the base image.

Instances name it as `registry-mirrors`, so `FROM debian:trixie-slim` builds there as it does
anywhere. The image is pushed once, when the mirror's own image is made, and stays inside it.
"""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import docker
from docker.errors import NotFound
from docker.models.containers import Container

from lab.core.config import LabConfig
from lab.core.errors import LabError
from lab.images import build

REPOSITORY = "library/debian"
TAG = "trixie-slim"
IMAGE = "lab/mirror"
BARE_IMAGE = "lab/mirror-empty"
SEEDER = "lab-mirror-seeder"
PORT = "5000/tcp"
SERVING, SEEDING = ([f"/etc/docker/registry/{name}.yml"] for name in ("config", "seed"))


def ensure_mirror_image(builder: build.Builder) -> bool:
    """
    Build the registry's image, with the base pushed into it, if needed; whether it was built.
    """
    folder = build.HERE / "registry"
    base = build.base_digest(build.SERVICE_RELEASE, builder.host_access)
    digest = builder.digest(base, *build.folder_texts(folder))
    with builder.lock(IMAGE):
        if builder.is_current(IMAGE, digest):
            return False
        tag = build.ensure_base(builder, build.SERVICE_RELEASE)
        build.build(builder, BARE_IMAGE, folder, digest, base=tag)
        with _seeder(builder.client) as container:
            _push(builder.client, tag, _published_port(container))
            changes = f"LABEL {build.SOURCES_LABEL}={digest}"
            container.commit(repository=IMAGE, tag="latest", changes=changes)
    return True


def ensure_mirror(client: docker.DockerClient, config: LabConfig) -> Container:
    """
    Run the lab's mirror from the current image, at its fixed address.

    It is read-only, twice: a container of an instance could push another base image otherwise, and
    what is built upon it runs as root.
    """
    name = mirror_name(config)
    key, _, value = config.label.partition("=")
    with suppress(NotFound):
        container = client.containers.get(name)
        current = container.image is not None and container.image.id == client.images.get(IMAGE).id
        if current and container.status == "running":
            return container
        container.remove(force=True, v=True)
    container = client.containers.create(
        IMAGE,
        SERVING,
        name=name,
        labels={key: value, "lab.role": "mirror"},
        mem_limit="128m",
        network=None,
        read_only=True,
        cap_drop=["ALL"],
    )
    network = client.networks.get(config.network)
    client.networks.get("bridge").disconnect(container)
    network.connect(container, ipv4_address=config.mirror_address)
    container.start()
    return container


def mirror_name(config: LabConfig) -> str:
    return f"lab-{config.name}-mirror"


def mirror_answers(config: LabConfig, *, timeout_s: float = 2) -> bool:
    """
    Whether the mirror lists the base image over the API that a Docker daemon uses.
    """
    url = f"{config.mirror_url}/v2/{REPOSITORY}/tags/list"
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as response:
            return TAG in response.read().decode()
    except OSError:
        return False


@contextmanager
def _seeder(client: docker.DockerClient) -> Iterator[Container]:
    """
    An empty registry on a free loopback port, where Docker accepts one without TLS.
    """
    with suppress(NotFound):  # a killed run left it
        client.containers.get(SEEDER).remove(force=True, v=True)
    container = client.containers.run(
        BARE_IMAGE, SEEDING, name=SEEDER, detach=True, ports={PORT: ("127.0.0.1", 0)}
    )
    try:
        yield container
    finally:
        container.remove(force=True, v=True)


def _published_port(container: Container, *, timeout_s: float = 20) -> int:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        container.reload()
        bindings = container.ports.get(PORT)
        if bindings:
            port = int(bindings[0]["HostPort"])
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/"):
                return port
        time.sleep(0.1)
    raise LabError(
        "expected the registry to answer on a loopback port, but it does not",
        evidence=container.logs(tail=3).decode(errors="replace").strip() or container.status,
        next_step="python -m lab down; python -m lab up",
    )


def _push(client: docker.DockerClient, tag: str, port: int) -> None:
    repository = f"127.0.0.1:{port}/{REPOSITORY}"
    client.images.get(tag).tag(repository, TAG)
    try:
        lines = client.images.push(repository, tag=TAG, stream=True, decode=True)
        errors = [str(line["error"]) for line in lines if "error" in line]
    finally:
        build.remove_image(client, f"{repository}:{TAG}")
    if errors:
        raise LabError(
            "expected to push the base image into the lab's registry, but it was refused",
            evidence="; ".join(errors),
            next_step="python -m lab down; python -m lab up",
        )
