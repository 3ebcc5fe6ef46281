"""
What the standby node must have before the manager fails: images, volumes and secrets.
"""

from typing import Any

import docker
import pandas as pd
from docker.models.services import Service

from runbook_lib.availability.standby.master_label import find_pinned
from runbook_lib.core.changes import Changes
from runbook_lib.stacks.containers import STACK, in_stack
from runbook_lib.stacks.images import has_image


def ensure_images(
    leader: docker.DockerClient,
    source: docker.DockerClient,
    target: docker.DockerClient,
    *,
    registry: str,
) -> Changes:
    """
    Bring the image of every service that may have to move to `target`.

    The registry goes down with the manager; an image that is pinned by its digest and present needs
    no registry. An image that only the manager has (the registry's own) goes through the registry,
    too.
    """
    changes = Changes()
    for reference in sorted({_image(service) for service in find_pinned(leader)}):
        if has_image(target, reference):
            continue
        if "/" in reference:
            target.api.pull(reference)
        else:
            name, _, tag = reference.partition(":")
            source.images.get(reference).tag(f"{registry}/{name}", tag)
            source.images.push(f"{registry}/{name}", tag=tag)
            target.images.pull(f"{registry}/{name}", tag=tag).tag(name, tag)
        changes.add("image", reference.split("@")[0], "copied to the standby node")
    return changes


def readiness(leader: docker.DockerClient, target: docker.DockerClient) -> pd.DataFrame:
    """
    What every service that may have to move would find on `target`; nothing is started.

    Columns: service, image, volumes, secrets ("there", or what is missing), ready.
    """
    volumes = {str(volume.name) for volume in target.volumes.list()}
    secrets = {str(secret.name) for secret in leader.secrets.list()}
    rows = []
    for service in find_pinned(leader):
        spec: dict[str, Any] = service.attrs["Spec"]["TaskTemplate"]["ContainerSpec"]
        needed = {secret["SecretName"] for secret in spec.get("Secrets") or []}
        missing = {
            "image": [] if has_image(target, _image(service)) else [_image(service).split("@")[0]],
            "volumes": sorted(_external_volumes(spec) - volumes),
            "secrets": sorted(needed - secrets),
        }
        words = {what: ", ".join(names) or "there" for what, names in missing.items()}
        rows.append({"service": str(service.name), **words, "ready": not any(missing.values())})
    return pd.DataFrame(rows, columns=["service", "image", "volumes", "secrets", "ready"])


def remove_stack_volumes(engine: docker.DockerClient, stacks: list[str]) -> Changes:
    """
    Remove the stacks' own volumes on an engine where none of their services runs.

    A queue that is older than the tiles is worse than an empty one, and its broker has old
    passwords; the dealer publishes again what has no result. The tiles are in an external volume.
    """
    changes = Changes()
    for name in stacks:
        for volume in engine.volumes.list(filters=in_stack(name)):
            ended = {"volume": str(volume.name), "status": ["exited", "created", "dead"]}
            for container in engine.api.containers(all=True, filters=ended):
                engine.api.remove_container(container["Id"])
            volume.remove()
            changes.add("volume", str(volume.name), "removed")
    return changes


def _external_volumes(spec: dict[str, Any]) -> set[str]:
    """
    The volumes that no stack makes; where they are missing, the engine would make empty ones.
    """
    mounts = [m for m in spec.get("Mounts") or [] if m["Type"] == "volume"]
    own = [m for m in mounts if STACK in m.get("VolumeOptions", {}).get("Labels", {})]
    return {m["Source"] for m in mounts if m not in own}


def _image(service: Service) -> str:
    return str(service.attrs["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"])
