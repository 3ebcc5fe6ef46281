"""
The engine that tests build and run images on: the lab's, with the base that Dockerfiles name.
"""

from pathlib import Path

import docker

from lab.commands.up import SERVICE_BASE
from lab.core.config import LabConfig
from lab.engine import docker_engine
from lab.engine.dockerd import Daemon
from lab.images import build


def build_image(engine: docker.DockerClient, folder: Path, **options: object) -> str:
    """
    The id of the image of a folder, named after it; the containers of its steps are removed.
    """
    tag = f"geodiff-test/{folder.name}"
    image, _ = engine.images.build(path=str(folder), tag=tag, rm=True, forcerm=True, **options)
    return str(image.id)


def ready_engine(timeout_s: int = 600) -> docker.DockerClient:
    """
    Find or start it, and give the base its name; the last lab that goes down stops it.
    """
    engine = docker_engine.ensure_engine(Daemon())
    client = engine.client()
    client.api.timeout = timeout_s
    builder = build.Builder(client, LabConfig().cache_dir / "images")
    base = build.ensure_base(builder, build.SERVICE_RELEASE)
    if engine.private:
        client.images.get(base).tag(*SERVICE_BASE.split(":"))
    return client
