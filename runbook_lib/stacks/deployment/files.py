"""
The files that a stack names beside it, brought to where Docker looks for them.

Docker's command line reads env files, configs and secrets on the machine where it runs, and a bind
mount is a path on the node of each task. Both are other machines than the one with the stack file.

A config or secret with a `file` gets a name with its hash. The Swarm cannot change one that a
service uses; a new name makes a changed file an update like any other.
"""

import copy
import hashlib
import io
import re
import shlex
import stat
import tarfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import docker
import fabric

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, ParameterError
from runbook_lib.core.parallel import for_each
from runbook_lib.core.words import count_of
from runbook_lib.hosts.ssh import run, run_with_input
from runbook_lib.stacks.compose.documents import Keys
from runbook_lib.stacks.compose.stack_file import StackFile
from runbook_lib.stacks.running.containers import HASH, OWNER, limited_name, slow_hash

FOLDER = "/srv/runbook"
"""Where bind mounts are on the nodes: `<stack>/<hash>/<name>`, for root only."""

LARGEST = {"env_file": 1024_000, "configs": 1023_999, "secrets": 511_999}
"""Bytes of a file; the Swarm's own limits for configs and secrets, which may not be empty."""

LARGEST_BIND = 100 * 1024 * 1024
_NO_NAMES = re.compile(r"^3\.[0-4]$")
"""Versions of the format in which a config has no `name`."""

_END = "~end"
"""
The last file of an archive; no bind mount has this name. If the connection breaks, tar sees an
early end, which it takes for the end of the archive.
"""

_UNPACK = """
# bind mount {target}
umask 077
mkdir -p {folder}
partial=$(mktemp -d {folder}/.partial-XXXXXXXX)
trap 'rm -rf "$partial"' EXIT
tar -x -p -f - -C "$partial"
rm "$partial/{end}"
[ -e {target} ] || mv -T "$partial" {target}
"""


@dataclass(frozen=True)
class Bind:
    """
    A file or folder here, and its path on the nodes.
    """

    source: Path
    target: str


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


def binds_folder(stack: str) -> str:
    """
    Return the folder of a stack's bind mounts on the nodes.
    """
    return f"{FOLDER}/{_safe(stack)}"


def ensure_binds(connections: Mapping[str, fabric.Connection], packed: Packed) -> Changes:
    """
    Bring the bind mounts to every node that lacks them, owned by root, with their modes.

    A folder has its name when it is complete.
    """
    changes = Changes()
    tars = {bind: _tar(bind.source) for bind in packed.binds}
    tests = "\n".join(f"[ -e {shlex.quote(b.target)} ] || echo {n}" for n, b in enumerate(tars))

    def one(role: str) -> None:
        missing = run(connections[role], f"# bind mounts\n{tests}", sudo=True).split()
        for number in missing:
            bind = list(tars)[int(number)]
            target = bind.target.rpartition("/")[0]
            paths = {"target": shlex.quote(target), "folder": shlex.quote(str(Path(target).parent))}
            run_with_input(
                connections[role], _UNPACK.format(**paths, end=_END), tars[bind], sudo=True
            )
            changes.add("bind mount", bind.target, f"copied to {role}")

    if tars:
        for_each("Bind mounts copied", {role: role for role in connections}, one)
    return changes


def remove_binds(
    connections: Mapping[str, fabric.Connection], stack: str, keep: Collection[str] = ()
) -> Changes:
    """
    Remove a stack's bind mounts from every node, but the hashes to keep.
    """
    changes = Changes()
    folder = shlex.quote(binds_folder(stack))
    kept = "|".join(sorted(map(_safe, keep))) or "none"
    script = (
        f"# bind mounts of {_safe(stack)}\nshopt -s nullglob dotglob\n"
        f'for folder in {folder}/*; do case "${{folder##*/}}" in {kept}) ;;\n'
        '*) rm -rf --one-file-system "$folder"; echo "$folder" ;; esac; done\n'
        f"rmdir {folder} 2>/dev/null || true"
    )

    def one(role: str) -> None:
        for path in run(connections[role], script, sudo=True).split():
            changes.add("bind mount", path, f"removed on {role}")

    for_each("Bind mounts removed", {role: role for role in connections}, one)
    return changes


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
        sent = f"files/{hashlib.sha256(data).hexdigest()[:12]}/{_safe(path.name)}"
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
            found = _inventory(path)
        except OSError as error:
            self.refuse(keys, f"{given}: {error.strerror or error}")
            return given
        digest = hashlib.sha256(repr((path.name, found)).encode()).hexdigest()[:12]
        bind = Bind(path, f"{binds_folder(self.name)}/{digest}/{_safe(path.name)}")
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


def _safe(name: str) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    return name if name.strip(".") else "_"


def _inventory(root: Path) -> list[tuple[str, int, str]]:
    """
    List what a bind mount holds: path, mode, and the content's hash or a link's target.

    Raises OSError if something in it cannot be sent.
    """
    found, size = [], 0
    for path in [root, *(sorted(root.rglob("*")) if root.is_dir() else [])]:
        status = path.lstat()
        relative = str(path.relative_to(root))
        if stat.S_ISLNK(status.st_mode):
            content = str(path.readlink())
        elif stat.S_ISDIR(status.st_mode):
            content = ""
        elif stat.S_ISREG(status.st_mode):
            size += status.st_size
            if size > LARGEST_BIND:
                raise OSError(f"more than {LARGEST_BIND // 1024 // 1024} MB; use a volume")
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            raise OSError(f"{relative} is neither a file, a folder nor a link")
        found.append((relative, status.st_mode, content))
    return found


def _tar(source: Path) -> bytes:
    def owned_by_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = "root"
        return info

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(source, _safe(source.name), filter=owned_by_root)
        tar.addfile(tarfile.TarInfo(_END))
    return buffer.getvalue()
