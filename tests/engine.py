"""
The engine that tests build and run images on: the lab's, with the base that Dockerfiles name.
"""

import docker

from lab import host, images
from lab.config import LabConfig
from lab.dockerd import Daemon
from lab.lifecycle import SERVED


def ready_engine(timeout_s: int = 600) -> docker.DockerClient:
    """
    Find or start it, and give the base its name; the last lab that goes down stops it.
    """
    engine = host.ensure_engine(Daemon())
    client = engine.client()
    client.api.timeout = timeout_s
    shop = images.open_workshop(client, LabConfig().cache_dir / "images")
    base = images.ensure_base(shop, images.SERVICE_RELEASE)
    if engine.private:
        client.images.get(base).tag(*SERVED.split(":"))
    return client
