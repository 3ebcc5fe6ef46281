"""
The tile backup that `tiles_backup` installs on both managers: one pulls, the other serves.

Standard library only, for Python 3.8 (Ubuntu 20.04). The pulling side requests a manifest
with the other side's SHA-256 of every file, copies missing files with rsync, hashes its own files
and compares. If the checksums do not match, the backup does not count: the manifest of the last
good one stays, and the unit fails.

The other manager's SSH key may run only the serving side (`serve`), which accepts three requests.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS_FOLDER = "/etc/tiles-backup"
STATE_FOLDER = "/var/lib/tiles-backup"
HASH_CACHE = "/var/cache/tiles-backup/hashes.json"
KEPT_RUNS = 500
_SSH = ["ssh", "-F", f"{SETTINGS_FOLDER}/ssh_config"]


def scan(directories: list[str], cache_file: Path | None = None) -> dict[str, str]:
    """
    Return the SHA-256 of every file below the directories, by path; hidden files are left out.

    A hash comes from the cache if size, times and inode are unchanged. Without a cache file every
    byte is read.
    """
    cached: dict[str, Any] = {}
    if cache_file:
        with contextlib.suppress(FileNotFoundError, ValueError):
            cached = dict(json.loads(cache_file.read_text()))
    kept: dict[str, Any] = {}
    for path in _files(directories):
        try:
            state = path.stat()
            mark = [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]
            known = cached.get(str(path), [None, ""])
            digest = known[1] if known[0] == mark else sha256(path.read_bytes()).hexdigest()
        except FileNotFoundError:  # removed during the scan
            continue
        kept[str(path)] = [mark, digest]
    if cache_file and kept != cached:
        _save(cache_file, json.dumps(kept))
    return {path: digest for path, (_, digest) in kept.items()}


def differing(promised: dict[str, str], found: dict[str, str]) -> list[str]:
    """
    Return the promised files that are missing or different; extra files are ignored.
    """
    return sorted(path for path, digest in promised.items() if found.get(path) != digest)


def serve(request: str, directories: list[str]) -> int:
    """
    Serve a request of the other manager's key: a manifest, the last promise, or rsync.
    """
    if request == "manifest":
        sys.stdout.write(_as_lines(scan(directories, Path(HASH_CACHE))))
    elif request == "promise":
        sys.stdout.write(Path(STATE_FOLDER, "SHA256SUMS").read_text())
    elif request == "rsync --server --daemon .":
        config = f"--config={SETTINGS_FOLDER}/rsyncd.conf"
        os.execvp("rsync", ["rsync", "--server", "--daemon", config, "."])  # noqa: S606
    else:
        sys.stderr.write(f"this key may not run {request!r}\n")
        return 1
    return 0


def pull(directories: list[str]) -> dict[str, object]:
    """
    Copy missing files and verify them; every file promised at the start is then safe.
    """
    began = time.time()
    cache = Path(STATE_FOLDER, "hashes.json")
    before = scan(directories, cache)
    for attempt in range(3):
        # a file may be replaced between manifest and copy: then request the manifest again
        promised = _from_lines(_remote("manifest"))
        for directory in directories:
            if any(path.startswith(f"{directory}/") for path in promised):
                _copy(Path(directory).name, directory, every_byte=attempt > 0)
        found = scan(directories, cache)
        wrong = differing(promised, found)
        if not wrong:
            break
    else:
        raise SystemExit(f"{len(wrong)} files differ from their checksums, first {wrong[:3]}")
    _save(Path(STATE_FOLDER, "SHA256SUMS"), _as_lines(promised))
    run: dict[str, object] = {
        "began": began,
        "finished": time.time(),
        "files": len(promised),
        "copied": sum(before.get(path) != digest for path, digest in found.items()),
    }
    log = Path(STATE_FOLDER, "runs.jsonl")
    lines = log.read_text().splitlines()[1 - KEPT_RUNS :] if log.exists() else []
    _save(log, "\n".join([*lines, json.dumps(run)]) + "\n")
    return run


def restore(directories: list[str]) -> dict[str, object]:
    """
    Restore everything into an empty folder next to the tiles, compare every checksum, remove it.

    The checksums are those that this side promised for the last backup.
    """
    began = time.monotonic()
    promised = _from_lines(_remote("promise"))
    found, size = {}, 0
    for directory in directories:
        parent, name = os.path.split(directory)
        with tempfile.TemporaryDirectory(dir=parent, prefix=f".{name}-restored.") as empty:
            _copy(name, empty)
            size += sum(path.stat().st_size for path in _files([empty]))
            found.update({directory + p[len(empty) :]: d for p, d in scan([empty]).items()})
    wrong = differing(promised, found)
    return {
        "files": len(promised),
        "equal": len(promised) - len(wrong),
        "differing": wrong[:20],
        "bytes": size,
        "seconds": round(time.monotonic() - began, 1),
    }


def _files(directories: list[str]) -> Iterator[Path]:
    for directory in directories:
        for folder, folders, names in os.walk(directory):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _remote(request: str) -> str:
    command = [*_SSH, "other-manager", request]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _copy(module: str, directory: str, *, every_byte: bool = False) -> None:
    # each file is written under a hidden name and renamed, so that no reader sees half a tile
    options = ["--recursive", "--times", "--chmod=D755,F644", "--timeout=60"]
    options += ["--checksum"] if every_byte else []
    options += [f"--rsh={' '.join(_SSH)}", f"other-manager::{module}/", f"{directory}/"]
    subprocess.run(["rsync", *options], check=True, stdout=subprocess.DEVNULL)


def _as_lines(hashes: dict[str, str]) -> str:
    return "".join(f"{digest}  {path}\n" for path, digest in sorted(hashes.items()))


def _from_lines(text: str) -> dict[str, str]:
    return {path: digest for digest, path in (line.split("  ", 1) for line in text.splitlines())}


def _save(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.write_text(text)
    partial.replace(path)


def _main() -> int:
    directories = json.loads(Path(SETTINGS_FOLDER, "settings.json").read_text())
    if sys.argv[1] == "serve":
        return serve(os.environ.get("SSH_ORIGINAL_COMMAND", ""), directories)
    result = {"pull": pull, "restore": restore}[sys.argv[1]](directories)
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
