"""
The bind mounts of a stack that are beside its file: brought to every node, and removed.

A bind mount is a path on the node of each task, which is another machine than the one with the
stack file. The path has the content's hash, so changed content is another folder.
"""

import hashlib
import io
import re
import shlex
import stat
import tarfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import fabric

from runbook_lib.core.changes import Changes
from runbook_lib.core.parallel import for_each
from runbook_lib.hosts.ssh import run, run_with_input

FOLDER = "/srv/runbook"
"""Where bind mounts are on the nodes: `<stack>/<hash>/<name>`, for root only."""

LARGEST_BIND = 100 * 1024 * 1024
_END = "~end"
"""
The last file of an archive; no bind mount has this name. If the connection breaks, tar sees an
early end, which it takes for the end of the archive.
"""

_UNPACK = """
: bind mount {target}
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


def get_bind(path: Path, stack: str) -> Bind:
    """
    Return where a file or folder of a stack is on the nodes.

    Raises OSError if something in it cannot be sent.
    """
    digest = hashlib.sha256(repr((path.name, _inventory(path))).encode()).hexdigest()[:12]
    return Bind(path, f"{binds_folder(stack)}/{digest}/{safe_name(path.name)}")


def binds_folder(stack: str) -> str:
    """
    Return the folder of a stack's bind mounts on the nodes.
    """
    return f"{FOLDER}/{safe_name(stack)}"


def ensure_binds(connections: Mapping[str, fabric.Connection], binds: Collection[Bind]) -> Changes:
    """
    Bring the bind mounts to every node that lacks them, owned by root, with their modes.

    A folder has its name when it is complete.
    """
    changes = Changes()
    tars = {bind: _tar(bind.source) for bind in binds}
    tests = "\n".join(f"[ -e {shlex.quote(b.target)} ] || echo {n:d}" for n, b in enumerate(tars))

    def one(role: str) -> None:
        missing = run(connections[role], f": bind mounts\n{tests}", sudo=True).split()
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
    kept = "|".join(shlex.quote(safe_name(one)) for one in sorted(keep)) or "none"
    script = (
        f": bind mounts of {shlex.quote(stack)}\nshopt -s nullglob dotglob\n"
        f'for folder in {folder}/*; do case "${{folder##*/}}" in {kept}) ;;\n'
        '*) rm -rf --one-file-system "$folder"; echo "$folder" ;; esac; done\n'
        f"rmdir {folder} {FOLDER} 2>/dev/null || true"
    )

    def one(role: str) -> None:
        for path in run(connections[role], script, sudo=True).split():
            changes.add("bind mount", path, f"removed on {role}")

    for_each("Bind mounts removed", {role: role for role in connections}, one)
    return changes


def safe_name(name: str) -> str:
    """
    Return a name that is one part of a path and needs no quotes in a shell.
    """
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
        tar.add(source, safe_name(source.name), filter=owned_by_root)
        tar.addfile(tarfile.TarInfo(_END))
    return buffer.getvalue()
