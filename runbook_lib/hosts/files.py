"""
Write files on an instance, with content, owner and mode, each as a whole or not at all.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import fabric

from runbook_lib.hosts.ssh import run

# runs on the instance, as root, under its own python3
_WRITE = """
import json, os, pwd, sys
for wanted in json.loads(sys.argv[1]):
    path, content, mode = wanted["path"], wanted["content"].encode(), int(wanted["mode"], 8)
    owner = pwd.getpwnam(wanted["owner"])
    try:
        with open(path, "rb") as file:
            held, state = file.read(), os.fstat(file.fileno())
            same = held == content and (state.st_mode & 0o777, state.st_uid) == (mode, owner.pw_uid)
    except FileNotFoundError:
        same = False
    if same:
        continue
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with open(os.open(path + ".partial", flags, 0o600), "wb") as file:
        file.write(content)
    os.chown(path + ".partial", owner.pw_uid, owner.pw_gid)
    os.chmod(path + ".partial", mode)
    os.replace(path + ".partial", path)
    print(path)
"""


@dataclass(frozen=True)
class HostFile:
    """
    A wanted file; `mode` is octal, as in chmod.
    """

    path: str
    content: str
    mode: str = "0644"
    owner: str = "root"


def ensure_files(connection: fabric.Connection, files: Sequence[HostFile]) -> list[str]:
    """
    Write the files that differ, and return their paths. Their folders must exist.
    """
    wanted = shlex.quote(json.dumps([asdict(file) for file in files]))
    return run(connection, f"python3 -c {shlex.quote(_WRITE)} {wanted}", sudo=True).split()
