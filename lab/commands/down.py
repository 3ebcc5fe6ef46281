"""
Take a lab down: remove what carries its label, and with the last lab the private engine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import docker
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container

from lab.commands import server_process
from lab.commands.steps import Steps
from lab.core.config import LabConfig
from lab.engine import dockerd, network, packages
from lab.images import rootfs
from lab.sample import data_set

CACHES = ("docker", "images", "tiles")


def down(config: LabConfig, daemon: dockerd.Daemon, steps: Steps, *, keep_engine: bool) -> None:
    """
    Remove everything of one lab, and the private engine if no lab is left.
    """
    with steps.step("server") as step:
        step.outcome = "stopped" if server_process.stop_server(config) else "was not running"
    with dockerd.lock(daemon):
        _leave_engine(config, daemon, steps, keep_engine=keep_engine)
    rootfs.clear_abandoned(config.cache_dir / "images")
    data_set.clear_abandoned(config.cache_dir / "tiles")
    shutil.rmtree(config.state_dir, ignore_errors=True)
    with suppress(OSError):
        config.state_dir.parent.rmdir()


def remove_parts(client: docker.DockerClient, config: LabConfig) -> int:
    """
    Remove the containers (with their volumes), volumes and network of a lab; return how many.
    """
    mine = config.label
    containers = client.containers.list(all=True, filters={"label": mine}, ignore_removed=True)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(_remove_container, containers))
    volumes = client.volumes.list(filters={"label": mine})
    for volume in volumes:
        volume.remove(force=True)
    removed = network.remove_network(client, config)
    return len(containers) + len(volumes) + int(removed)


def engine_users(client: docker.DockerClient | None) -> str:
    """
    The names of containers and networks that still use the engine, of any lab.
    """
    if client is None:
        return ""
    names = {str(one.name) for one in client.containers.list(ignore_removed=True)}
    labelled = client.containers.list(all=True, filters={"label": "lab"}, ignore_removed=True)
    names |= {str(one.name) for one in labelled}
    names |= {str(one.name) for one in client.networks.list(filters={"label": "lab"})}
    return ", ".join(sorted(names))


def cache_sizes(config: LabConfig) -> dict[Path, int]:
    """
    The folders that stay after `down`, with their sizes in MiB.
    """
    folders = [config.cache_dir / name for name in CACHES]
    return {folder: _size_mib(folder) for folder in folders if folder.exists()}


def _leave_engine(
    config: LabConfig, daemon: dockerd.Daemon, steps: Steps, *, keep_engine: bool
) -> None:
    client = _engine_of(config, daemon)
    if client is not None:
        with steps.step("containers, network, volumes") as step:
            step.outcome = f"{remove_parts(client, config)} removed"
    if config.docker_host == daemon.host and not keep_engine:
        with steps.step("private engine") as step:
            users = engine_users(client)
            stopped = not users and dockerd.stop_daemon(daemon)
            step.outcome = (
                f"stays, for {users}" if users else "stopped" if stopped else "was not running"
            )


def _engine_of(config: LabConfig, daemon: dockerd.Daemon) -> docker.DockerClient | None:
    """
    The engine that may have parts of this lab. A private one is started to remove them.
    """
    private = config.docker_host == daemon.host and os.geteuid() == 0
    if private and daemon.data_root.exists() and not packages.missing_programs(["dockerd"]):
        dockerd.start_daemon(daemon)
    with suppress(DockerException):
        client = docker.DockerClient(base_url=config.docker_host, timeout=120)
        client.ping()
        return client
    return None


def _remove_container(container: Container) -> None:
    try:
        container.remove(force=True, v=True)
    except NotFound:
        return
    except APIError as exc:
        if exc.status_code != 409:  # "already in progress"
            raise


def _size_mib(folder: Path) -> int:
    command = ["du", "--summarize", "--one-file-system", "--block-size=1M", str(folder)]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    return int((result.stdout.split() or ["0"])[0])
