"""
The services that use a volume: stopped while its folder is swapped, and started again.

While a service is stopped, one of its labels has its number of replicas, so that a killed run can
be continued.
"""

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager

import docker
import fabric
from docker.models.services import Service

from runbook_lib.core.changes import Changes
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.hosts.ssh import run
from runbook_lib.stacks.running.specs import Spec, set_spec

_PAUSED = "runbook.paused-replicas"


@contextmanager
def paused(
    connection: fabric.Connection, leader: docker.DockerClient, volume: str, changes: Changes
) -> Iterator[None]:
    """
    Stop every service that uses the volume during the block; restart them even after an interrupt.
    """
    began = time.monotonic()
    try:
        pause(connection, leader, volume)
        yield
    finally:
        started = resume(leader, volume)
        changes.extend(started)
        if started:
            changes.add("volume", volume, f"not used for {time.monotonic() - began:.0f} s")


def pause(connection: fabric.Connection, leader: docker.DockerClient, volume: str) -> None:
    """
    Scale every service that uses the volume to 0, and wait until no container mounts it.
    """
    for service in find_users(leader, volume):
        if _PAUSED not in service.attrs["Spec"].get("Labels", {}):
            replicas = service.attrs["Spec"]["Mode"]["Replicated"]["Replicas"]
            set_spec(leader, str(service.name), _with(service, {_PAUSED: str(replicas)}, 0))

    def probe() -> bool | Pending:
        script = f"docker ps --quiet --filter volume={shlex.quote(volume)}"
        left = run(connection, script, sudo=True).split()
        return Pending(f"{len(left)} containers still mount it") if left else True

    wait_for(f"No container uses {volume}", probe, timeout_s=120)


def resume(leader: docker.DockerClient, volume: str) -> Changes:
    """
    Start every stopped service with its former number of replicas, and wait for its tasks.
    """
    changes = Changes()
    stopped: dict[str, int] = {}
    for service in find_users(leader, volume):
        if replicas := service.attrs["Spec"].get("Labels", {}).get(_PAUSED):
            name = str(service.name)
            stopped[name] = int(replicas)
            set_spec(leader, name, _with(service, {}, stopped[name]))
            changes.add("service", name, "stopped for the change, and started again")

    def probe() -> bool | Pending:
        short = [name for name, count in stopped.items() if running_tasks(leader, name) < count]
        return Pending(f"waiting for {', '.join(short)}") if short else True

    wait_for(
        f"The services of {volume} run again",
        probe,
        timeout_s=180,
        next_step="docker service ps --no-trunc <service>  on the manager says why a task waits",
    )
    return changes


def find_users(leader: docker.DockerClient, volume: str) -> list[Service]:
    """
    Find the services that mount the volume, by name.
    """

    def uses(service: Service) -> bool:
        mounts = service.attrs["Spec"]["TaskTemplate"]["ContainerSpec"].get("Mounts") or []
        return any(mount["Type"] == "volume" and mount["Source"] == volume for mount in mounts)

    return sorted(filter(uses, leader.services.list()), key=lambda service: str(service.name))


def running_tasks(leader: docker.DockerClient, name: str) -> int:
    """
    Count the tasks of a service that run and are wanted to run.
    """
    tasks = leader.api.tasks(filters={"service": name})
    return sum(t["DesiredState"] == t["Status"]["State"] == "running" for t in tasks)


def _with(service: Service, note: dict[str, str], replicas: int) -> Spec:
    """
    Return the service's specification with this number of replicas, with or without the label.
    """
    spec: Spec = service.attrs["Spec"]
    labels = {name: value for name, value in spec.get("Labels", {}).items() if name != _PAUSED}
    mode = {"Replicated": {"Replicas": replicas}}
    return {**spec, "Labels": labels | note, "Mode": mode}
