"""
Deploying a stack in place, and waiting until it is really so.

Source: sections "Deploy - Work Stack" and "Deploy - Web Stack" of the guide. Its script removes
the stack first, which is downtime and a race (moby#29293); here `docker stack deploy` updates it.
"""

import secrets
import shlex
from collections.abc import Mapping
from typing import Any

import docker
import fabric

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import CommandError
from runbook_lib.core.wait import Pending, wait_for, wait_until_none
from runbook_lib.hosts.ssh import run
from runbook_lib.stacks.containers import STACK, find_services, in_stack
from runbook_lib.stacks.convergence import Convergence, convergence
from runbook_lib.stacks.stack_file import StackFile, keeps_replicas, render


def ensure_secrets(manager: docker.DockerClient, stack: StackFile) -> Changes:
    """
    Make each missing external secret: a random token that exists in memory and in the Swarm only.
    """
    changes = Changes()
    existing = {secret.name for secret in manager.secrets.list()}
    for name in stack.external_secrets:
        if name not in existing:
            manager.secrets.create(name=name, data=secrets.token_urlsafe(32).encode())
            changes.add("secret", name, "made")
    return changes


def ensure_stack(
    connection: fabric.Connection,
    manager: docker.DockerClient,
    stack: StackFile,
    name: str,
    *,
    images: Mapping[str, str],
    variables: Mapping[str, object],
) -> Changes:
    """
    Deploy the stack in place; what its services' specifications do not change goes on running.

    The docker SDK has no `stack deploy`, so that the command line on the manager does it.
    """
    before = _specs(manager, name)
    live = {
        service: before[f"{name}_{service}"]["Mode"]["Replicated"]["Replicas"]
        for service, spec in stack.services.items()
        if keeps_replicas(spec) and f"{name}_{service}" in before
    }
    text = render(stack, images, live)
    environment = " ".join(f"{k}={shlex.quote(str(v))}" for k, v in variables.items())
    # `always` pins each image by its digest; images that only the manager has have none
    resolve = "always" if all("/" in image for image in images.values()) else "never"
    run(
        connection,
        f"# docker stack deploy {name}\n"  # an error shows the first line: it names no variable
        f"env {environment} docker stack deploy --prune --resolve-image {resolve} "
        f"--compose-file - {shlex.quote(name)} <<'RUNBOOK_STACK' 2>&1\n{text}\nRUNBOOK_STACK\n",
        sudo=True,
    )
    return _spec_changes(before, _specs(manager, name))


def wait_for_stack(manager: docker.DockerClient, name: str, timeout_s: float = 300) -> None:
    """
    Wait until every service runs as wanted; a rollback or a paused update is a failure.

    Raises
    ------
    CommandError
        Where an update was rolled back or paused.
    WaitTimeoutError
        Where tasks stay pending; its message explains each in words.
    """

    def probe() -> bool | Pending:
        states = [convergence(manager, service) for service in find_services(manager, name)]
        failed = [s for s in states if s.failure]
        if failed:
            raise CommandError(
                f"expected stack {name} to converge; {len(failed)} service(s) did not",
                evidence="\n".join(f"{s.service}: {s.failure}" for s in failed),
                next_step=f"docker service ps --no-trunc {failed[0].service}  on the manager",
            )
        open_ones = [s for s in states if not s.done]
        if open_ones or not states:
            return Pending(_explain(open_ones), sum(s.done for s in states), len(states))
        return True

    wait_for(
        f"Stack {name} converged",
        probe,
        timeout_s=timeout_s,
        next_step="docker service logs <service>  on the manager, for what the service itself says",
    )


def find_stacks(manager: docker.DockerClient | None) -> list[str]:
    """
    The names of the stacks that are deployed; without a manager there are none.
    """
    services = manager.services.list() if manager else []
    return sorted({s.attrs["Spec"]["Labels"].get(STACK, "") for s in services} - {""})


def find_tasks(manager: docker.DockerClient, name: str, **filters: str) -> list[dict[str, Any]]:
    """
    The tasks of a stack that have not ended, of services that are gone as well.
    """
    ended = ("shutdown", "complete", "failed", "rejected", "remove")
    alive = [t for t in manager.api.tasks(filters) if t["Status"]["State"] not in ended]
    labels = [task["Spec"].get("ContainerSpec", {}).get("Labels") or {} for task in alive]
    return [t for t, its in zip(alive, labels, strict=True) if its.get(STACK) == name]


def wait_for_no_containers(
    clients: Mapping[str, docker.DockerClient], name: str, timeout_s: float = 60
) -> list[str]:
    """
    Wait until no engine has a container of the stack, running or not; returns those left.
    """

    def look() -> list[str]:
        return [
            f"{container['Names'][0]} on {role}"
            for role, client in clients.items()
            for container in _containers(client, name)
        ]

    return wait_until_none(f"No container of {name} is left", look, timeout_s=timeout_s)


def remove_stack(
    connection: fabric.Connection | None,
    manager: docker.DockerClient | None,
    name: str,
    timeout_s: float = 120,
) -> Changes:
    """
    Remove the stack and its volumes, and wait until its tasks and networks are gone too.

    `docker stack rm` returns before that, and a deployment right after it fails. Without a
    manager there is no stack.
    """
    changes = Changes()
    if connection is None or manager is None:
        return changes
    services = find_services(manager, name)
    if services or manager.networks.list(filters=in_stack(name)):
        run(connection, f"docker stack rm {shlex.quote(name)} 2>&1", sudo=True)
    for service in services:
        changes.add("service", str(service.name), "removed")

    def probe() -> bool | Pending:
        tasks = find_tasks(manager, name)
        networks = manager.networks.list(filters=in_stack(name))
        left = len(tasks) + len(_containers(manager, name)) + len(networks)
        return Pending(f"{left} tasks and networks left") if left else True

    wait_for(f"Stack {name} removed", probe, timeout_s=timeout_s)
    for volume in manager.volumes.list(filters=in_stack(name)):
        volume.remove()
        changes.add("volume", str(volume.name), "removed")
    return changes


def remove_secrets(manager: docker.DockerClient | None, stack: StackFile) -> Changes:
    """
    Remove the stack's external secrets: with them, the passwords exist nowhere any more.
    """
    changes = Changes()
    for secret in manager.secrets.list() if manager else []:
        if secret.name in stack.external_secrets:
            secret.remove()
            changes.add("secret", secret.name, "removed")
    return changes


def _containers(client: docker.DockerClient, name: str) -> list[dict[str, Any]]:
    """
    As listed: to inspect each one as well would trip over those that go in between.
    """
    return list(client.api.containers(all=True, filters=in_stack(name)))


def _specs(manager: docker.DockerClient, name: str) -> dict[str, Any]:
    return {str(s.name): s.attrs["Spec"] for s in find_services(manager, name)}


def _spec_changes(before: dict[str, Any], after: dict[str, Any]) -> Changes:
    changes = Changes()
    for service, spec in after.items():
        if service not in before:
            changes.add("service", service, "created")
        elif spec != before[service]:
            changes.add("service", service, "updated")
    for service in before.keys() - after.keys():
        changes.add("service", service, "removed")
    return changes


def _explain(states: list[Convergence]) -> str:
    return "; ".join(
        f"{s.service} {s.running}/{s.wanted}{f' ({s.reason})' if s.reason else ''}" for s in states
    )
