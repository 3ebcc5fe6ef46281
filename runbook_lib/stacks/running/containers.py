"""
The services and containers of a stack, found by Docker's labels.
"""

import hashlib
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from runbook_lib.core.errors import CommandError, NotFoundError

STACK, SERVICE = "com.docker.stack.namespace", "com.docker.swarm.service.name"
OWNER = "runbook.stack"
"""The label of secrets and configs that a deployment of the stack of this name has made."""
HASH = "runbook.hash"
"""The label of a secret or config with a given value: a secret cannot be read, to compare it."""
_TIMES = 3


def create_once(create: Callable[[], object]) -> bool:
    """
    Create something of a unique name in the Swarm; False if another client has just done so.
    """
    try:
        create()
    except APIError as error:
        if error.status_code != HTTPStatus.CONFLICT:
            raise
        return False
    return True


def remove_once(remove: Callable[[], object]) -> bool:
    """
    Remove something from the Swarm; False if another client has just done so, or uses it.
    """
    try:
        remove()
    except NotFound:
        return False
    except APIError as error:
        if "is in use by" not in str(error.explanation):
            raise
        return False
    return True


def in_stack(name: str) -> dict[str, Any]:
    """
    Return a filter for a stack's items in Docker's lists: services, networks, volumes, containers.
    """
    return {"label": f"{STACK}={name}"}


def limited_name(name: str, end: str = "", limit: int = 64) -> str:
    """
    Return a name that Swarm takes: one that is too long is cut, and ends in a hash of itself.
    """
    if len(name + end) <= limit:
        return name + end
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: limit - len(end) - 9]}-{digest}{end}"


def slow_hash(data: bytes, salt: str) -> str:
    """
    Return a hash that takes long to compute, so that it does not give a weak password away.
    """
    return hashlib.scrypt(data, salt=salt.encode(), n=2**14, r=8, p=1, dklen=24).hex()


def find_services(manager: docker.DockerClient, stack: str) -> list[Any]:
    """
    Find the services of a stack, as SDK objects.
    """
    return manager.services.list(filters=in_stack(stack))


def find_containers(
    engine: docker.DockerClient, service: str, *, stopped: bool = False
) -> list[Container]:
    """
    Find the running containers of a service on this engine's node; with `stopped`, all of them.
    """
    filters: dict[str, Any] = {"label": f"{SERVICE}={service}"}
    status = {} if stopped else {"status": "running"}
    return engine.containers.list(all=stopped, filters=filters | status, ignore_removed=True)


def get_container(engine: docker.DockerClient, service: str, next_step: str) -> Container:
    """
    Return a running container of a service on this engine's node.

    Raises NotFoundError if there is none.
    """
    for container in find_containers(engine, service):
        return container
    raise NotFoundError(
        f"expected a running container of {service} on this node, found none", next_step=next_step
    )


def read_secret(engine: docker.DockerClient, service: str, secret: str, next_step: str) -> str:
    """
    Read a secret inside a container of the service; it stays in memory.

    Raises NotFoundError if no container of the service runs on this engine's node; CommandError if
    it has no such secret.
    """
    file = f"/run/secrets/{secret}"
    code, text = _execute(get_container(engine, service, next_step), ["cat", file])
    if code:
        raise CommandError(f"expected {service} to have {file}; it has not", next_step=next_step)
    if not text.strip():
        raise CommandError(f"expected a value in {file} of {service}, saw nothing, {_TIMES} times")
    return text.strip()


def run_in(
    container: Container, command: list[str], environment: Mapping[str, str] | None = None
) -> str:
    """
    Run a command in a container; return its output.

    Raises CommandError if the exit code is not 0.
    """
    code, text = _execute(container, command, environment)
    if code:
        raise CommandError(
            f"expected {' '.join(command[:4])} to succeed in {container.name}; exit code {code}",
            evidence=text[-500:],
            next_step=f"docker service logs {container.labels.get(SERVICE, container.name)}"
            "  on the manager",
        )
    return text


def _execute(
    container: Container, command: list[str], environment: Mapping[str, str] | None = None
) -> tuple[int | None, str]:
    """
    Run a command that prints something; return its exit code and its output.

    On a busy host Docker loses the output of a short command, although its exit code is 0
    (https://github.com/docker/docker-py/issues/2042), so silence is asked again.
    """
    for _ in range(_TIMES):
        code, output = container.exec_run(command, environment=dict(environment or {}))
        if code or output:
            break
    return code, bytes(output).decode()  # type: ignore[arg-type]  # bytes: no stream
