"""
Bring a lab up: make only the parts that are missing, independent ones at the same time.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from lab.commands import preflight, server_process
from lab.commands.steps import Steps
from lab.core.config import LabConfig
from lab.core.errors import LabError
from lab.engine import docker_engine, dockerd, network, packages
from lab.images import build, registry_mirror, rootfs
from lab.images.host_access import read_host_access
from lab.sample import data_set

SERVICE_BASE = "debian:trixie-slim"


def up(config: LabConfig, daemon: dockerd.Daemon, steps: Steps) -> LabConfig:
    """
    Bring a lab up. Does nothing if it is up, and resumes what a killed run began.
    """
    with steps.step("host"):
        preflight.require_ready(config, daemon)
    with ThreadPoolExecutor(8) as pool:
        _start_early(config, daemon, pool, steps)
        tiles = pool.submit(_sample, config, steps)
        with dockerd.lock(daemon):
            with steps.step("engine") as step:
                engine = _engine(config, daemon)
                step.outcome = f"Docker {engine.version} at {engine.host}"
            config = replace(config, docker_host=engine.host)
            builder = build.Builder(engine.client(), config.cache_dir / "images")
            with steps.step("network") as step:
                new = network.ensure_network(builder.client, config)
                step.outcome = f"{config.subnet} {'made' if new else 'is there'}"
        registry = pool.submit(_mirror_image, builder, engine, steps)
        with steps.step("machine image") as step:
            made = build.ensure_instance(builder, config.instance_image)
            step.outcome = "made" if made else "nothing to do"
        server = pool.submit(_server, config, steps)
        registry.result()
        with steps.step("registry mirror") as step:
            registry_mirror.ensure_mirror(builder.client, config)
            step.outcome = config.mirror_url
        server.result()
        folder = tiles.result()
        with steps.step("sample data in S3") as step:
            new = data_set.upload(config, folder)
            step.outcome = f"s3://{data_set.BUCKET} {'filled' if new else 'is there'}"
    return config


def _start_early(
    config: LabConfig, daemon: dockerd.Daemon, pool: ThreadPoolExecutor, steps: Steps
) -> None:
    """
    On a host without an engine, make the bases while Docker is being installed and started.

    Nothing waits for them here: a step that needs a base waits for its lock.
    """
    missing = packages.missing_programs(["dockerd"])
    if not missing or docker_engine.find_engine(daemon).engine is not None:
        return
    with steps.step("tools") as step:
        installed = packages.ensure_programs(["mmdebstrap", "zip"])
        step.outcome = f"installed {', '.join(installed)}" if installed else "nothing to do"
    folder = config.cache_dir / "images"
    for release in (build.INSTANCE_RELEASE, build.SERVICE_RELEASE):
        pool.submit(_base_tar, folder, release, steps)


def _base_tar(folder: Path, release: str, steps: Steps) -> None:
    digest = build.base_digest(release, read_host_access())
    with steps.step(f"Debian {release}") as step:
        try:
            step.outcome = str(rootfs.ensure_rootfs(folder, release, digest))
        except LabError as exc:  # the engine may still pull it from Docker Hub
            step.outcome = exc.problem


def _engine(config: LabConfig, daemon: dockerd.Daemon) -> docker_engine.Engine:
    """
    The engine that has this lab's instances; for a new lab, the first that suffices.
    """
    if not (config.state_dir / "lab.json").exists():
        return docker_engine.ensure_engine(daemon)
    environ = {"DOCKER_HOST": config.docker_host}
    if docker_engine.find_engine(daemon, environ).engine is None:
        # A new engine stops what a killed one left running. A running server would record that as
        # guests powering off; a server that starts later boots them.
        server_process.stop_server(config)
    engine = docker_engine.ensure_engine(daemon, environ)
    if engine.host != config.docker_host:
        raise LabError(
            f"expected {config.docker_host}, with the instances of lab {config.name}, to answer",
            evidence=f"another engine answers: {engine.host}",
            next_step=f"start that engine, or: python -m lab down --name {config.name}",
        )
    return engine


def _mirror_image(builder: build.Builder, engine: docker_engine.Engine, steps: Steps) -> None:
    with steps.step("mirror image") as step:
        made = registry_mirror.ensure_mirror_image(builder)
        step.outcome = f"made, with {SERVICE_BASE}" if made else "nothing to do"
    if engine.private:  # a private engine may use the official name: builds on the host find it too
        builder.client.images.get(f"lab/base:{build.SERVICE_RELEASE}").tag(*SERVICE_BASE.split(":"))


def _sample(config: LabConfig, steps: Steps) -> Path:
    with steps.step("sample data") as step:
        folder = data_set.ensure_sample(config.cache_dir / "tiles")
        step.outcome = str(folder)
        return folder


def _server(config: LabConfig, steps: Steps) -> None:
    with steps.step("server") as step:
        started = server_process.ensure_server(config)
        step.outcome = f"{config.endpoint_url} {'started' if started else 'is up'}"
