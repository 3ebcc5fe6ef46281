"""
The secrets that must exist before a stack is deployed: given by a person, or made as a token.

A value is given by a file of a folder, named as the secret, or by an environment variable; it never
is a parameter, which would be saved with the run. Only what was made here, and says so by a label,
is changed or removed.
"""

import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import docker

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, ParameterError
from runbook_lib.core.project import PROJECT
from runbook_lib.stacks.compose.stack_file import StackFile
from runbook_lib.stacks.deployment.files import LARGEST
from runbook_lib.stacks.running.containers import (
    HASH,
    OWNER,
    create_once,
    remove_once,
    slow_hash,
)
from runbook_lib.stacks.running.specs import Spec

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def ensure_secrets(
    manager: docker.DockerClient, stack: StackFile, name: str, *, values_dir: str = ""
) -> Changes:
    """
    Create each external secret that is missing: of the value given, or of a random token.

    Parameters
    ----------
    name
        The stack's name, which becomes the label of what is made.
    values_dir
        The folder with the values, one file for each secret, named as it; a file goes before the
        environment variable `RUNBOOK_SECRET_<NAME>`.

    Raises what `find_new_secrets` raises, before anything is made.
    """
    changes = Changes()
    for secret, value in _new_values(manager, stack, values_dir).items():
        labels = {OWNER: name}
        if value:
            salt = secrets.token_hex(16)
            labels[HASH] = f"{salt}:{slow_hash(value, salt)}"
        data = value or secrets.token_urlsafe(32).encode()
        if not create_once(partial(manager.secrets.create, name=secret, data=data, labels=labels)):
            _new_values(manager, stack, values_dir)  # another run was quicker: has it our value?
            continue
        changes.add("secret", secret, "created" if value else "created as a random token")
    return changes


def find_new_secrets(
    manager: docker.DockerClient, stack: StackFile, *, values_dir: str = ""
) -> list[str]:
    """
    Find the external secrets that a deployment will create; nothing is changed.

    A random token is made only for those that the file lists in `x-runbook.generated_secrets`.

    Raises ParameterError with every secret that is missing and has no value, and every value that
    cannot be read; ConflictError if a value is not the one that the Swarm has.
    """
    return list(_new_values(manager, stack, values_dir))


def read_value(secret: str, values_dir: str = "") -> bytes:
    """
    Return the value given for a secret; empty if there is none.

    Raises ParameterError if it cannot be read.
    """
    try:
        return _given(secret, _folder(values_dir))
    except ValueError as error:
        raise ParameterError(
            f"expected a value for the secret {secret}",
            evidence=str(error),
            next_step="correct it, then run this again",
        ) from error


def remove_secrets(manager: docker.DockerClient | None, name: str) -> Changes:
    """
    Remove the secrets and configs that deployments of the stack of this name have made.

    A generated secret is the only copy of a password. One that another service uses stays.
    """
    if manager is None:
        return Changes()
    return remove_unused(manager, name, _specs(manager))


def find_left(manager: docker.DockerClient | None, name: str) -> list[str]:
    """
    Find the secrets and configs that deployments of the stack have made and nothing uses.
    """
    if manager is None:
        return []
    return [str(item.name) for _, item in _unused(manager, name, _specs(manager))]


def _specs(manager: docker.DockerClient) -> list[Spec]:
    return [service.attrs["Spec"] for service in manager.services.list()]


def remove_unused(
    manager: docker.DockerClient, name: str, specs: Iterable[Spec], *labels: str
) -> Changes:
    """
    Remove the secrets and configs made for a stack, with these labels too, that no specification
    names.
    """
    changes = Changes()
    for kind, item in _unused(manager, name, specs, *labels):
        if remove_once(item.remove):
            changes.add(kind.lower(), str(item.name), "removed")
    return changes


def _unused(
    manager: docker.DockerClient, name: str, specs: Iterable[Spec], *labels: str
) -> Iterator[tuple[str, Any]]:
    containers = [spec["TaskTemplate"].get("ContainerSpec") or {} for spec in specs]
    for kind in ("Secret", "Config"):
        used = {one[f"{kind}Name"] for c in containers for one in c.get(f"{kind}s") or []}
        items: Any = manager.secrets if kind == "Secret" else manager.configs
        for item in items.list(filters={"label": [f"{OWNER}={name}", *labels]}):
            if item.name not in used:
                yield kind, item


def _new_values(
    manager: docker.DockerClient, stack: StackFile, values_dir: str
) -> dict[str, bytes]:
    """
    Return the value of each secret to create; empty for a random token.
    """
    existing = {str(secret.name): secret.attrs["Spec"] for secret in manager.secrets.list()}
    folder = _folder(values_dir)
    generated = set(stack.generated_secrets)
    new: dict[str, bytes] = {}
    problems, missing, changed = [], [], []
    for key, secret in stack.external("secrets").items():
        try:
            value = _given(secret, folder)
        except ValueError as error:
            problems.append(f"{secret}: {error}")
            continue
        if secret not in existing:
            if value or {key, secret} & generated:
                new[secret] = value
            else:
                missing.append(f"{stack.where('secrets', key)}: {secret}")
        elif value and _differs(value, existing[secret].get("Labels") or {}):
            changed.append(f"{stack.where('secrets', key)}: {secret}")
    if problems or missing:
        raise ParameterError(
            f"expected a value for every external secret of {stack.path.name}",
            evidence="\n".join([*problems, *(f"{one} is not in the Swarm" for one in missing)]),
            next_step=_advice([one.rpartition(" ")[2] for one in missing], values_dir),
        )
    if changed:
        raise ConflictError(
            f"expected the Swarm's secrets to have the values given; {len(changed)} has another, "
            "and the Swarm cannot change a secret",
            evidence="\n".join(changed),
            next_step="give it a new name in the stack file (`name:` under secrets) and its value "
            "under that name, or give the earlier value",
        )
    return new


def _folder(values_dir: str) -> Path | None:
    if not values_dir:
        return None
    folder = PROJECT / Path(values_dir).expanduser()
    if not folder.is_dir():
        raise ParameterError(
            f"expected values_dir to be a folder; {folder} is none",
            next_step=f"make it:  install -d -m 700 {folder}",
        )
    return folder


def _given(secret: str, folder: Path | None) -> bytes:
    """
    Return the value given for a secret; empty if there is none.

    Raises ValueError if it is no value of a secret.
    """
    if not _NAME.fullmatch(secret):
        raise ValueError("expected a name of letters, digits, - _ and .")
    source, value = variable(secret), os.fsencode(os.environ.get(variable(secret), ""))
    file = folder / secret if folder else None
    try:
        is_there = file is not None and (file.is_symlink() or file.exists())
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from error
    if file and is_there:
        if file.is_symlink() or not file.is_file():
            raise ValueError(f"expected {file} to be a file, and no link")
        source, value = str(file), _read(file)
        if not value:
            raise ValueError(f"{file} is empty")
    if len(value) > LARGEST["secrets"]:
        raise ValueError(f"{source} has more than the {LARGEST['secrets']:,} bytes of a secret")
    return value


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as content:
            return content.read(LARGEST["secrets"] + 1)
    except OSError as error:
        raise ValueError(f"{file} cannot be read: {error.strerror}") from error


def variable(secret: str) -> str:
    """
    Return the environment variable that gives a secret's value.
    """
    return f"RUNBOOK_SECRET_{re.sub('[.-]', '_', secret).upper()}"


def _advice(missing: list[str], values_dir: str) -> str:
    if not missing:
        return "correct them, then run this again"
    return (
        f"write the value into a file of {values_dir or 'values_dir'} named {missing[0]}, or set "
        f"{variable(missing[0])}, or on the manager:  docker secret create {missing[0]} -"
    )


def _differs(value: bytes, labels: Mapping[str, str]) -> bool:
    # without a hash it is a person's own, or a token, and stays as it is
    salt, colon, digest = labels.get(HASH, "").partition(":")
    return bool(colon) and slow_hash(value, salt) != digest
