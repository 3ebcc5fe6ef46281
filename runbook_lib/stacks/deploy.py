"""
Deploying a stack in place, and waiting until it runs; removing it, and waiting until it is gone.

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
from runbook_lib.stacks.convergence import convergence
from runbook_lib.stacks.specs import changed_services, find_specs
from runbook_lib.stacks.stack_file import StackFile, keeps_replicas, render


def ensure_secrets(manager: docker.DockerClient, stack: StackFile) -> Changes:
    """
    Create each missing external secret: a random token, known to the Swarm alone.
    """
    changes = Changes()
    existing = {secret.name for secret in manager.secrets.list()}
    for name in stack.external_secrets:
        if name not in existing:
            manager.secrets.create(name=name, data=secrets.token_urlsafe(32).encode())
            changes.add("secret", name, "created")
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
    Deploy the stack in place; a service whose specification stays the same is not restarted.

    The Docker SDK has no `stack deploy`: the command line on the manager does it.
    """
    before = find_specs(manager, name)
    live = {
        service: before[service]["Mode"]["Replicated"]["Replicas"]
        for service, spec in stack.services.items()
        if keeps_replicas(spec) and service in before
    }
    environment = " ".join(f"{k}={shlex.quote(str(v))}" for k, v in variables.items())
    # `always` pins each image by its digest; images that only the manager has have none
    resolve = "always" if all("/" in image for image in images.values()) else "never"
    run(
        connection,
        f"# docker stack deploy {name}\n"  # an error shows the first line: it names no variable
        f"env {environment} docker stack deploy --prune --resolve-image {resolve} "
        f"--compose-file - {shlex.quote(name)} <<'RUNBOOK_STACK' 2>&1\n"
        f"{render(stack, images, live)}\nRUNBOOK_STACK\n",
        sudo=True,
    )
    after = find_specs(manager, name)
    changes = Changes()
    for service in changed_services(before, after, mode=True):
        action = "removed" if service not in after else "updated"
        changes.add("service", f"{name}_{service}", action if service in before else "created")
    return changes


def wait_for_stack(manager: docker.DockerClient, name: str, timeout_s: float = 300) -> None:
    """
    Wait until every service runs as wanted.

    Raises
    ------
    CommandError
        Where an update was rolled back or paused.
    WaitTimeoutError
        Where tasks stay pending, with the reason of each.
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
        waiting = [str(s) for s in states if not s.done]
        if waiting or not states:
            return Pending("; ".join(waiting), len(states) - len(waiting), len(states))
        return True

    wait_for(
        f"Stack {name} converged",
        probe,
        timeout_s=timeout_s,
        next_step="docker service logs <service>  on the manager shows what the service reports",
    )


def find_stacks(manager: docker.DockerClient | None) -> list[str]:
    """
    The names of the deployed stacks; none without a manager.
    """
    services = manager.services.list() if manager else []
    return sorted({s.attrs["Spec"]["Labels"].get(STACK, "") for s in services} - {""})


def find_live_tasks(
    manager: docker.DockerClient, name: str, **filters: str
) -> list[dict[str, Any]]:
    """
    The tasks of a stack that have not ended, also those of removed services.
    """
    ended = ("shutdown", "complete", "failed", "rejected", "remove")
    alive = [t for t in manager.api.tasks(filters) if t["Status"]["State"] not in ended]
    labels = [task["Spec"].get("ContainerSpec", {}).get("Labels") or {} for task in alive]
    return [t for t, its in zip(alive, labels, strict=True) if its.get(STACK) == name]


def wait_for_no_containers(
    clients: Mapping[str, docker.DockerClient], name: str, timeout_s: float = 60
) -> list[str]:
    """
    Wait until no engine has a container of the stack, running or stopped; returns those left.
    """

    def find() -> list[str]:
        return [
            f"{container['Names'][0]} on {role}"
            for role, client in clients.items()
            for container in _containers(client, name)
        ]

    return wait_until_none(f"No container of {name} is left", find, timeout_s=timeout_s)


def remove_stack(
    connection: fabric.Connection | None,
    manager: docker.DockerClient | None,
    name: str,
    timeout_s: float = 120,
) -> Changes:
    """
    Remove the stack and its volumes, and wait until its tasks and networks are gone too.

    `docker stack rm` returns earlier, and a deployment right after it fails. None stands for a
    manager that is gone.
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
        tasks = find_live_tasks(manager, name)
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
    Remove the stack's external secrets; nothing else has the passwords.
    """
    changes = Changes()
    for secret in manager.secrets.list() if manager else []:
        if secret.name in stack.external_secrets:
            secret.remove()
            changes.add("secret", secret.name, "removed")
    return changes


def _containers(client: docker.DockerClient, name: str) -> list[dict[str, Any]]:
    """
    As listed, not inspected one by one: some may go in between.
    """
    return list(client.api.containers(all=True, filters=in_stack(name)))
