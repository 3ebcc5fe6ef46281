"""
A data set brought to the manager: its parts downloaded and verified, then joined and unpacked.

Source: section "Solo en el manager/admin" of the guide. The work is done on the manager, by
`agents/fetch.py` and `agents/unpack.py`, which trust nothing that is served.
"""

import inspect
import json
import shlex
from typing import Any

import fabric

from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import CommandError, IntegrityError
from runbook_lib.core.progress import Progress
from runbook_lib.core.words import printable
from runbook_lib.geodiff.tiles import DataSet
from runbook_lib.hosts.agents import fetch, unpack
from runbook_lib.hosts.installed import install_packages
from runbook_lib.hosts.ssh import run_with_input

_FETCH = """
install -d {parts}
as_nobody=
if [ "$(id -u)" = 0 ]; then
  chown {nobody}:{nobody} {parts}
  as_nobody="setpriv --reuid {nobody} --regid {nobody} --clear-groups --no-new-privs --"
fi
$as_nobody python3 -c {program}
"""

_UNPACK = """
command -v zip >/dev/null && command -v unzip >/dev/null || {{ {install}; }}
python3 -c {program}
"""


def ensure_parts(manager: fabric.Connection, data: DataSet) -> Changes:
    """
    Download missing or incomplete parts, and verify each against SHA256SUMS.

    Raises CommandError if the URL serves no checksums; IntegrityError if a part does not match its
    own even after a new download, or a name is not plain.
    """
    changes = Changes()
    if not data.url:
        return changes
    folder, program = shlex.quote(data.parts), shlex.quote(inspect.getsource(fetch))
    script = _FETCH.format(parts=folder, nobody=unpack.NOBODY, program=program)
    with Progress("Parts downloaded and verified"):
        answer = _run_program(manager, script, {"parts": data.parts, "url": data.url.rstrip("/")})
    if failed := answer.get("failed"):
        raise CommandError(
            f"expected {data.url} to serve SHA256SUMS and the parts that it names",
            evidence=printable(failed),
            next_step="check tiles_url from the manager, then run 04_tiles",
        )
    if refused := answer.get("refused"):
        raise IntegrityError(
            f"expected plain names in SHA256SUMS of {data.url}, and every part to match its"
            " checksum; one is truncated or altered",
            evidence=printable(refused),
            next_step="upload the part again where it is served, then run 04_tiles",
        )
    if count := answer["downloaded"]:
        changes.add("tiles", data.url, f"downloaded {count} parts")
    return changes


def ensure_unpacked(manager: fabric.Connection, data: DataSet) -> Changes:
    """
    Join the parts of the spanned zip and unpack it, once for each version of the data set.

    The tiles belong to uid 1000, `ubuntu` on the instance: the services write as that user.

    Raises IntegrityError, with the tiles as they were, if the archive has a link, a name that leads
    elsewhere, or more than fits on the disk.
    """
    changes = Changes()
    if not data.url:
        return changes
    install, program = install_packages("zip", "unzip"), shlex.quote(inspect.getsource(unpack))
    script = _UNPACK.format(install=install, program=program)
    with Progress("Parts joined and unpacked"):
        answer = _run_program(manager, script, {"parts": data.parts, "directory": data.directory})
    if refused := answer.get("refused"):
        raise IntegrityError(
            f"expected the archive of {data.url} to hold folders and files, with plain names and"
            " room for them on the manager's disk; nothing of it was unpacked",
            evidence=printable(refused),
            next_step="pack it again from the folder above RAW:  zip -r -s 100m tiles.zip RAW",
        )
    if answer["unpacked"]:
        changes.add("tiles", data.directory, f"{answer['unpacked']} files unpacked")
    return changes


def _run_program(
    manager: fabric.Connection, script: str, request: dict[str, str]
) -> dict[str, Any]:
    output = run_with_input(manager, script, json.dumps(request).encode(), sudo=True)
    answer: dict[str, Any] = json.loads(output.strip().splitlines()[-1])  # sudo may warn before
    return answer
