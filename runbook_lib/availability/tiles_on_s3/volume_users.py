"""
The services that use a volume, stopped while what lies under it changes, and started again.

How many tasks each had is a label of the service while it is stopped: whoever was killed in
between finds it there.
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
from runbook_lib.stacks.specs import Spec, set_spec

LABEL = "runbook.paused-replicas"


@contextmanager
def paused(
    connection: fabric.Connection, leader: docker.DockerClient, volume: str, changes: Changes
) -> Iterator[None]:
    """
    Nothing uses the volume in this block; what was stopped starts again, also after an interrupt.
    """
    began = time.monotonic()
    try:
        pause(connection, leader, volume)
        yield
    finally:
        started = resume(leader, volume)
        changes.extend(started)
        if started:
            changes.add("volume", volume, f"in nobody's use for {time.monotonic() - began:.0f} s")


def pause(
    connection: fabric.Connection,
    leader: docker.DockerClient,
    volume: str,
    timeout_s: float = 120,
) -> None:
    """
    Scale every service that uses the volume to none, and wait until no container has it.
    """
    for service in find_users(leader, volume):
        if LABEL not in service.attrs["Spec"].get("Labels", {}):
            replicas = service.attrs["Spec"]["Mode"]["Replicated"]["Replicas"]
            set_spec(leader, str(service.name), _with(service, {LABEL: str(replicas)}, 0))

    def probe() -> bool | Pending:
        script = f"docker ps --quiet --filter volume={shlex.quote(volume)}"
        left = run(connection, script, sudo=True).split()
        return Pending(f"{len(left)} containers still have it") if left else True

    wait_for(f"Nobody uses {volume}", probe, timeout_s=timeout_s)


def resume(leader: docker.DockerClient, volume: str, timeout_s: float = 180) -> Changes:
    """
    Give every service that was stopped its tasks back, and wait until they run.
    """
    changes = Changes()
    stopped = {
        str(service.name): int(service.attrs["Spec"]["Labels"][LABEL])
        for service in find_users(leader, volume)
        if LABEL in service.attrs["Spec"].get("Labels", {})
    }
    for service in find_users(leader, volume):
        if (name := str(service.name)) in stopped:
            set_spec(leader, name, _with(service, {}, stopped[name]))
            changes.add("service", name, "stopped for the change, and started again")

    def probe() -> bool | Pending:
        short = [name for name, count in stopped.items() if running_tasks(leader, name) < count]
        return Pending(f"waiting for {', '.join(short)}") if short else True

    wait_for(
        f"Everybody has {volume} again",
        probe,
        timeout_s=timeout_s,
        next_step="docker service ps --no-trunc <service>  on the manager says why a task waits",
    )
    return changes


def find_users(leader: docker.DockerClient, volume: str) -> list[Service]:
    """
    The services that mount the volume, by name.
    """
    users = []
    for service in leader.services.list():
        mounts = service.attrs["Spec"]["TaskTemplate"]["ContainerSpec"].get("Mounts") or []
        if any(mount["Type"] == "volume" and mount["Source"] == volume for mount in mounts):
            users.append(service)
    return sorted(users, key=lambda service: str(service.name))


def running_tasks(leader: docker.DockerClient, name: str) -> int:
    """
    How many tasks of a service run and should.
    """
    tasks = leader.api.tasks(filters={"service": name})
    return sum(t["DesiredState"] == t["Status"]["State"] == "running" for t in tasks)


def _with(service: Service, note: dict[str, str], replicas: int) -> Spec:
    """
    The service's specification with so many replicas, and our label or none.
    """
    spec: Spec = service.attrs["Spec"]
    labels = {name: value for name, value in spec.get("Labels", {}).items() if name != LABEL}
    mode = {"Replicated": {"Replicas": replicas}}
    return {**spec, "Labels": labels | note, "Mode": mode}
