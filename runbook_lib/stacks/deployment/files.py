"""
The files that a stack names beside it, brought to where Docker looks for them.

Docker's command line reads env files, configs and secrets on the machine where it runs, and a bind
mount is a path on the node of each task. Both are other machines than the one with the stack file.

A config or secret with a `file` gets a name with its hash. The Swarm cannot change one that a
service uses; a new name makes a changed file an update like any other.
"""

import copy
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import docker

from runbook_lib.core.errors import ConflictError, ParameterError
from runbook_lib.core.words import count_of
from runbook_lib.stacks.compose.documents import Keys
from runbook_lib.stacks.compose.stack_file import StackFile
from runbook_lib.stacks.deployment.binds import Bind, get_bind, safe_name
from runbook_lib.stacks.running.containers import HASH, OWNER, limited_name, slow_hash

LARGEST = {"env_file": 1024_000, "configs": 1023_999, "secrets": 511_999}
"""Bytes of a file; the Swarm's own limits for configs and secrets, which may not be empty."""

_NO_NAMES = re.compile(r"^3\.[0-4]$")
"""Versions of the format in which a config has no `name`."""


@dataclass(frozen=True)
class Packed:
    """
    A stack with the paths that Docker is given, and what has to be there.

    Parameters
    ----------
    files
        What Docker's command line reads, by path relative to the documents.
    binds
        What every node must have.
    fixed
        Configs and secrets whose name the file gives, by section and name: line, and hash.
    """

    stack: StackFile
    files: dict[str, bytes] = field(repr=False)
    binds: tuple[Bind, ...]
    fixed: dict[tuple[str, str], tuple[str, str]]


def pack(stack: StackFile, name: str) -> Packed:
    """
    Read every file that the stack names; relative paths start at the folder of its first file.

    Raises ParameterError with each one that is missing, too large or under `~`, and its line.
    """
    packer = _Packer(stack, name)
    documents = tuple(packer.document(document) for document in stack.documents)
    if packer.problems:
        raise ParameterError(
            f"expected every file that {stack.path.name} names; "
            f"{count_of(len(packer.problems), 'file')} cannot be sent",
            evidence=stack.hide("\n".join(packer.problems)),
            next_step=f"correct them: paths are relative to {stack.path.parent}",
        )
    if packer.renamed:
        documents = tuple(
            {**d, "version": "3.8"} if _NO_NAMES.match(str(d.get("version", ""))) else d
            for d in documents
        )
    stack = replace(stack, documents=documents)
    return Packed(stack, packer.files, tuple(packer.binds), packer.fixed)


def check_names(manager: docker.DockerClient, packed: Packed) -> None:
    """
    Raise ConflictError if a config or secret has changed and kept a name that its file gives.

    Docker would refuse it in the middle of the deployment.
    """
    problems = []
    for (kind, name), (where, value) in packed.fixed.items():
        for item in getattr(manager, kind).list(filters={"name": name}):
            its = item.attrs["Spec"].get("Labels") or {}
            if item.name == name and its.get(HASH, value) != value:
                problems.append(f"{where}: {name}")
    if problems:
        raise ConflictError(
            "expected configs and secrets with a `name` of their own as they were deployed; the "
            "Swarm cannot change them",
            evidence="\n".join(problems),
            next_step="change the name with the file, or leave the name out: then it has a hash",
        )


@dataclass
class _Packer:
    stack: StackFile
    name: str
    files: dict[str, bytes] = field(default_factory=dict)
    binds: list[Bind] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    fixed: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    renamed: bool = False

    def document(self, original: Mapping[str, Any]) -> dict[str, Any]:
        document = copy.deepcopy(dict(original))
        for service, spec in (document.get("services") or {}).items():
            keys = ("services", service, "env_file")
            if isinstance(given := spec.get("env_file"), str):
                spec["env_file"] = self.file(given, "env_file", keys)
            elif given:
                spec["env_file"] = [self.file(path, "env_file", keys) for path in given]
            if volumes := spec.get("volumes"):
                keys = ("services", service, "volumes")
                spec["volumes"] = [self.volume(one, (*keys, n)) for n, one in enumerate(volumes)]
        for kind in ("configs", "secrets"):
            for key, spec in (document.get(kind) or {}).items():
                if spec and spec.get("file"):
                    self.rotated(kind, key, spec)
        return document

    def file(self, given: object, kind: str, keys: Keys) -> str:
        """
        Return the path of a file as Docker is to find it.
        """
        path = self.find(str(given), keys)
        if path is None:
            return str(given)
        if not path.is_file():
            self.refuse(keys, f"{given}: there is no such file")
            return str(given)
        try:
            with path.open("rb") as content:
                data = content.read(LARGEST[kind] + 1)
        except OSError as error:
            self.refuse(keys, f"{given}: {error.strerror}")
            return str(given)
        if len(data) > LARGEST[kind] or (not data and kind != "env_file"):
            seen = f"more than {LARGEST[kind]:,} bytes" if data else "it is empty"
            self.refuse(keys, f"{given}: {seen}; the Swarm takes no such {kind.rstrip('s')}")
            return str(given)
        sent = f"files/{hashlib.sha256(data).hexdigest()[:12]}/{safe_name(path.name)}"
        self.files[sent] = data
        return sent

    def rotated(self, kind: str, key: str, spec: dict[str, Any]) -> None:
        spec["file"] = self.file(spec["file"], kind, (kind, key, "file"))
        if spec.get("external"):
            return  # Docker says that it cannot be both
        # a change of the driver is another config, too
        its = [key, str(spec.get("template_driver")), str(spec.get("driver"))]
        data = "\0".join(its).encode() + b"\0" + self.files.get(spec["file"], b"")
        if named := spec.get("name"):
            label, value = HASH, slow_hash(data, str(named))
            self.fixed[kind, str(named)] = self.stack.where(kind, key), value
        else:
            digest = hashlib.sha256(data).hexdigest()[:12]
            spec["name"] = limited_name(f"{self.name}_{key}", f"_{digest}")
            label, value = OWNER, self.name
            self.renamed = True
        labels = spec.get("labels") or {}
        if isinstance(labels, list):
            spec["labels"] = [*labels, f"{label}={value}"]
        else:
            spec["labels"] = {**labels, label: value}

    def volume(self, volume: Any, keys: Keys) -> Any:  # noqa: ANN401 - as in YAML
        if isinstance(volume, str):
            source, colon, rest = volume.partition(":")
            # otherwise a named volume, or a path of the nodes
            return (
                f"{self.bind(source, keys)}:{rest}"
                if colon and source[:1] in (".", "~")
                else volume
            )
        source = str(volume.get("source") or "")
        if volume.get("type") != "bind" or not source or _is_of_node(source):
            return volume
        return {**volume, "source": self.bind(source, keys)}

    def bind(self, given: str, keys: Keys) -> str:
        path = self.find(given, keys)
        if path is None:
            return given
        try:
            bind = get_bind(path, self.name)
        except OSError as error:
            self.refuse(keys, f"{given}: {error.strerror or error}")
            return given
        if bind not in self.binds:
            self.binds.append(bind)
        return bind.target

    def find(self, given: str, keys: Keys) -> Path | None:
        if given.startswith("~"):
            self.refuse(keys, f"{given}: ~ is another folder for each user; write the path in full")
            return None
        try:
            path = (self.stack.path.parent / given).resolve()
            path.is_file()
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a zero byte
            self.refuse(keys, f"{given[:80]!r}: {getattr(error, 'strerror', None) or error}")
            return None
        return path

    def refuse(self, keys: Keys, reason: str) -> None:
        self.problems.append(f"{self.stack.where(*keys)}: {reason}")


def _is_of_node(source: str) -> bool:
    return source.startswith("/") or re.match(r"[A-Za-z]:[\\/]|\\\\", source) is not None
