"""
The program that downloads the parts of a data set into a folder, and compares their checksums.

Standard library only, for Python 3.8 (Ubuntu 20.04), and curl. It runs as nobody, and trusts
nothing that it is served: a name is one plain word, and a size leaves room on the disk. The request
is JSON on standard input; the answer, on standard output, is the number of parts `downloaded`, or
what is `refused`, or why it `failed`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

SUMS = "SHA256SUMS"
MOST_PARTS, LARGEST_SUMS = 10_000, 2**20
RESERVE = 512 * 2**20
"""Bytes of the disk that stay free: a full disk stops the engine, too."""
LIMIT_S = 3600

_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._-]{0,99})")
_CURL = ["setpriv", "--pdeathsig", "KILL", "--"]  # it ends with this program, and its lock
_CURL += ["curl", "-fsS", "--proto", "=http,https", "--globoff", "--retry", "5"]
_CURL += ["--retry-connrefused", "--connect-timeout", "20", "--speed-limit", "1024"]
_CURL += ["--speed-time", "60"]


class Refused(Exception):  # noqa: N818 - it is an answer
    """
    What is wrong about the data set.
    """


def read_sums(text: str) -> dict[str, str]:
    """
    Return the checksum of each part, by a name that is one plain word.
    """
    lines = text.splitlines()
    sums: dict[str, str] = {}
    if not 0 < len(lines) <= MOST_PARTS:
        raise Refused(f"{SUMS} has {len(lines)} lines, expected 1 to {MOST_PARTS}")
    for line in lines:
        match = _LINE.fullmatch(line)
        if not match:
            raise Refused(f"a line of {SUMS} is no checksum, two spaces and a name: {line[:200]!r}")
        digest, name = match.groups()
        if name in sums or name == SUMS or name.endswith(".partial"):
            raise Refused(f"{SUMS} names {name}, which is there already, or written here")
        sums[name] = digest
    return sums


def fetch(url: str) -> dict[str, Any]:
    """
    Download missing or incomplete parts into the current folder.
    """
    lock = os.open(".", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # two runs would write into the same .partial
    count = 0
    if trouble := _curl(f"{url}/{SUMS}", f"{SUMS}.partial", LARGEST_SUMS):
        return {"failed": trouble}
    text = Path(f"{SUMS}.partial").read_bytes().decode("ascii", "backslashreplace")
    sums = read_sums(text)
    Path(f"{SUMS}.partial").replace(SUMS)
    for name, digest in sums.items():
        if _sha256(name) == digest:
            continue
        partial = Path(f"{name}.partial")
        for again in (False, True):
            if again:  # what was there could not be completed
                partial.unlink(missing_ok=True)
            trouble = _curl(f"{url}/{name}", partial.name, _room(name), "-C", "-")
            seen = _sha256(partial.name)
            if seen == digest:
                break
        else:
            raise Refused(f"MISMATCH {name} expected {digest} seen {seen} {trouble}".strip())
        partial.replace(name)
        count += 1
    return {"downloaded": count}


def _room(name: str) -> int:
    disk = os.statvfs(".")
    room = disk.f_bavail * disk.f_frsize - RESERVE
    if room <= 0:
        raise Refused(f"the disk has no room for {name}: {RESERVE >> 20} MiB stay free")
    return room


def _sha256(name: str) -> str:
    digest = hashlib.sha256()
    try:
        with Path(name).open("rb") as file:
            for block in iter(lambda: file.read(2**20), b""):
                digest.update(block)
    except OSError:
        return ""
    return digest.hexdigest()


def _curl(url: str, target: str, most: int, *more: str) -> str:
    """
    Download a file of at most so many bytes; return what curl said if it failed.
    """
    result = subprocess.run(
        [*_CURL, *more, "-o", target, url],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )
    said = result.stderr.decode(errors="replace").strip()[-500:]
    return (said or f"curl ended with {result.returncode}") if result.returncode else ""


def _main() -> None:
    signal.alarm(LIMIT_S)
    request = json.load(sys.stdin)
    os.chdir(request["parts"])
    try:
        answer = fetch(request["url"])
    except Refused as error:
        answer = {"refused": str(error)}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    _main()
