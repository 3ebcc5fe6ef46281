"""
The program that joins and unpacks the parts of a data set on the manager, as root.

Standard library only, for Python 3.8 (Ubuntu 20.04), with zip and unzip. An archive is trusted in
nothing. What reads it runs as nobody, in an empty folder, while the disk keeps a reserve; every
name in that folder must be a plain word, and everything a file or a folder, before the first is
moved to the tiles. There, too, no link is followed: the services of the stack can make one. What
is left: whoever finds a hole in unzip is nobody on the manager, with its network and its CPU.

The request is JSON on standard input; the answer, on standard output, is the number of files
`unpacked` (0: this version is there already), or what is `refused`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

NOBODY, TILES_OWNER = 65534, 1000
STAMP, DEEPEST = ".unpacked", 8
LARGEST_FILE, LARGEST_LIST = 64 * 2**20, 512 * 2**20
RESERVE = 512 * 2**20
"""Bytes of the disk that stay free: a full disk stops the engine, too."""
LIMIT_S = 3600

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PART = re.compile(rf"^[0-9a-f]{{64}}  ({_NAME.pattern})$", re.MULTILINE)
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_AS_NOBODY = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
_AS_NOBODY += ["--no-new-privs", "--pdeathsig", "KILL", "--"]  # it ends with this program


class Refused(Exception):  # noqa: N818 - it is an answer
    """
    What is wrong about the archive.
    """


def unpack(parts: str, directory: str) -> int:
    """
    Unpack the archive into the folder of the tiles; return the number of files.

    After a kill, the same call begins again with an empty folder beside it.
    """
    staging = Path(f"{directory}-unpacking")
    lock = os.open(staging.parent, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # the program of a run that was killed may still be busy
    sums = _read(f"{parts}/SHA256SUMS")
    version = f"{hashlib.sha256(sums).hexdigest()}  -"
    with contextlib.suppress(OSError):
        if _read(f"{directory}/{STAMP}").decode(errors="replace") == version:
            return 0
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(0o700)
    _give(staging, NOBODY)
    try:
        archive = _join(Path(parts), _PART.findall(sums.decode(errors="replace")), staging)
        _unzip(archive, staging)
        count = _check(f"{staging}/tiles")
        Path(directory).mkdir(0o755, exist_ok=True)
        _give(directory, TILES_OWNER)
        source = os.open(f"{staging}/tiles", _OPEN | os.O_DIRECTORY)
        target = os.open(directory, _OPEN | os.O_DIRECTORY)
        if os.fstat(source).st_dev != os.fstat(target).st_dev:
            raise Refused(f"{directory} is a mount: run 36_remove_tiles_on_s3 first")
        _move(source, target, directory)
        os.sync()  # the stamp must not outlive the files that it speaks of
        _write_stamp(target, version)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return count


def _join(parts: Path, names: list[str], staging: Path) -> Path:
    archives = [name for name in names if name.endswith(".zip")]
    if len(archives) != 1:
        raise Refused(f"expected one .zip in SHA256SUMS, the last part; saw {len(archives)}")
    archive = parts / archives[0]
    if not any(re.search(r"\.z\d+$", name) for name in names):
        return archive
    joined = staging / "joined.zip"
    join = ["zip", "-q", "-b", str(staging), "-s", "0", str(archive), "--out", str(joined)]
    _run(join, staging, _room(staging)).close()
    return joined


def _unzip(archive: Path, staging: Path) -> None:
    count, last = 0, ""
    with _run(["unzip", "-Z", "-2t", str(archive)], staging, LARGEST_LIST) as listed:
        for line in listed:
            if count:
                _check_name(last)
            count, last = count + 1, line[:5000].decode(errors="replace").rstrip("\n")
    totals = re.fullmatch(r"(\d+) files?, (\d+) bytes uncompressed.*", last)
    if not totals or int(totals[1]) != count - 1:  # unzip would make something of an odd name
        raise Refused(f"{count - 1} names are listed, then: {last[:200]!r}")
    size, most, room = int(totals[2]), os.statvfs(staging).f_favail // 2, _room(staging)
    if count > most or size > room:
        raise Refused(
            f"it unpacks to {count} files of {size >> 20} MiB, and the disk has room for {most}"
            f" of {room >> 20} MiB"
        )
    command = ["unzip", "-q", "-o", str(archive), "-d", f"{staging}/tiles"]
    _run(command, staging, LARGEST_FILE).close()


def _run(command: list[str], folder: Path, largest: int) -> IO[bytes]:
    """
    Run a program as nobody, which writes files of at most so many bytes; return what it said.

    Any warning refuses the archive.
    """
    output = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    process = subprocess.Popen(
        [*(_AS_NOBODY if os.geteuid() == 0 else []), *command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)),  # noqa: PLW1509 - one thread
    )
    try:
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
            _room(folder)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        output.seek(max(0, output.seek(0, os.SEEK_END) - 500))
        said = output.read().decode(errors="replace").strip()
        raise Refused(f"{' '.join(command[:2])} ended with {process.returncode}: {said}")
    output.seek(0)
    return output


def _check_name(path: str) -> None:
    for name in path.rstrip("/").split("/"):
        if not _NAME.fullmatch(name):
            raise Refused(
                f"the name {name[:200]!r} in {path[:200]!r} is not plain: up to 100 letters, digits"
                ", - . and _, the first a letter or a digit"
            )
    if path.count("/") > DEEPEST:
        raise Refused(f"{path[:200]!r} is more than {DEEPEST} folders deep")


def _check(top: str) -> int:
    """
    Look at what came out, as if no list had been read before; return the number of files.
    """
    count = 0
    for path, folders, files, here in os.fwalk(top):
        for name in (*folders, *files):
            shown = os.path.relpath(f"{path}/{name}", top)
            _check_name(shown)
            state = os.stat(name, dir_fd=here, follow_symlinks=False)
            is_file = stat.S_ISREG(state.st_mode) and state.st_nlink == 1
            if not is_file and not stat.S_ISDIR(state.st_mode):
                raise Refused(f"{shown} is a link, or neither a file nor a folder")
        count += len(files)
    if not count:
        raise Refused("it has no file")
    return count


def _move(source: int, target: int, shown: str) -> None:
    for name in os.listdir(source):
        try:
            with _opened(name, source) as held:
                if not stat.S_ISDIR(os.fstat(held).st_mode):
                    os.fchmod(held, 0o644)
                    _give(held, TILES_OWNER)
                    os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
                    continue
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=target)
                with _opened(name, target, os.O_DIRECTORY) as below:
                    _give(below, TILES_OWNER)
                    _move(held, below, f"{shown}/{name}")
        except OSError as error:  # a link or a file where the archive has a folder, or the reverse
            raise Refused(f"{shown}/{name} is in its way: {error.strerror}") from error


@contextlib.contextmanager
def _opened(name: str, folder: int, flags: int = 0) -> Any:  # noqa: ANN401 - an iterator, for Python 3.8
    held = os.open(name, _OPEN | flags, dir_fd=folder)
    try:
        yield held
    finally:
        os.close(held)


def _write_stamp(folder: int, version: str) -> None:
    partial = f"{STAMP}.partial"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(partial, dir_fd=folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(partial, flags, 0o644, dir_fd=folder), "w") as file:
        file.write(version)
    os.rename(partial, STAMP, src_dir_fd=folder, dst_dir_fd=folder)


def _give(what: int | str | Path, owner: int) -> None:
    if os.geteuid() == 0:
        os.chown(what, owner, owner)


def _room(folder: Path) -> int:
    disk = os.statvfs(folder)
    room = disk.f_bavail * disk.f_frsize - RESERVE
    if room <= 0:
        raise Refused(f"the disk has no room for it: {RESERVE >> 20} MiB stay free")
    return room


def _read(path: str) -> bytes:
    with os.fdopen(os.open(path, _OPEN), "rb") as file:
        return file.read(2**20)


def _main() -> None:
    signal.alarm(LIMIT_S)
    os.umask(0o022)
    request = json.load(sys.stdin)
    try:
        answer: dict[str, Any] = {"unpacked": unpack(request["parts"], request["directory"])}
    except Refused as error:
        answer = {"refused": str(error)}
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    _main()
