"""
Debian as a tar file, made from the host's own mirrors and cached between runs.

mmdebstrap instead of debootstrap: it unpacks by apt and writes the tar itself, in half the time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from filelock import FileLock

from lab.core.errors import LabError
from lab.core.mounts import find_mounts, unmount
from lab.core.processes import find_processes, stop_process
from lab.images.debian_mirrors import Source, answering, host_sources, sources_for
from lab.images.host_access import apt_options

PREFIX = "work-"
MERGED_USR = Path("/usr/share/mmdebstrap/hooks/merged-usr")
# mmdebstrap's own path-exclude filter starts Python for each package: slower than removing
TRIM = 'cd "$1/usr/share" && rm -rf man/* locale/* && find doc -type f ! -name copyright -delete'


def find_rootfs(folder: Path, release: str, digest: str) -> Path | None:
    """
    The cached tar of a release, if it exists and matches its checksum.
    """
    tar = folder / f"{release}-{digest[:12]}.tar"
    try:
        recorded = tar.with_suffix(".sha256").read_text(encoding="ascii").split()[0]
        with tar.open("rb") as data:
            return tar if hashlib.file_digest(data, "sha256").hexdigest() == recorded else None
    except (OSError, IndexError):
        return None


def ensure_rootfs(folder: Path, release: str, digest: str) -> Path:
    """
    The tar of a release: cached and verified, or made now.
    """
    with FileLock(folder / f"{release}.lock"):
        return find_rootfs(folder, release, digest) or _make(folder, release, digest)


def _make(folder: Path, release: str, digest: str) -> Path:
    """
    Build the tar under a temporary name; only a complete one gets its checksum and its name.
    """
    sources = answering(sources_for(release, host_sources()))
    if not any(source.suite == release for source in sources):
        raise LabError(
            f"expected a Debian mirror with {release} for the lab's images, but none answers",
            evidence=f"apt sources of this host: {_shown(host_sources())}",
            next_step="name a Debian mirror in /etc/apt/sources.list.d, or let Docker Hub answer",
        )
    _remove_abandoned(folder, release)
    work = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{release}-", dir=folder))
    unfinished = work / "rootfs.tar"
    try:
        _mmdebstrap(release, unfinished, sources)
        with unfinished.open("rb") as data:
            checksum = hashlib.file_digest(data, "sha256").hexdigest()
        tar = folder / f"{release}-{digest[:12]}.tar"
        for old in folder.glob(f"{release}-*"):
            old.unlink()
        unfinished.replace(tar)
        tar.with_suffix(".sha256").write_text(f"{checksum}  {tar.name}\n", encoding="ascii")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return tar


def clear_abandoned(folder: Path) -> None:
    """
    Remove the unfinished work of killed runs, of every release.
    """
    for release in {work.name.split("-")[1] for work in folder.glob(f"{PREFIX}*")}:
        with FileLock(folder / f"{release}.lock"):  # waits for a process that makes it now
            _remove_abandoned(folder, release)


def _remove_abandoned(folder: Path, release: str) -> None:
    """
    Remove the work of a killed run, after stopping what still writes there.

    mmdebstrap mounts the host's /proc and /sys in its work. They are unmounted before anything is
    removed; work with a mount that stays is kept.
    """
    for work in folder.glob(f"{PREFIX}{release}-*"):
        for pid in find_processes("mmdebstrap", str(work)):
            stop_process(pid, "mmdebstrap", timeout_s=3)
        unmount(work)
        if not find_mounts(work):
            shutil.rmtree(work, ignore_errors=True)


def _mmdebstrap(release: str, tar: Path, sources: list[Source]) -> None:
    command = ["mmdebstrap", "--variant=minbase", "--quiet", "--dpkgopt=force-unsafe-io"]
    command += [f"--aptopt={option}" for option in [*apt_options(), 'Acquire::Languages "none";']]
    if release == "bookworm" and MERGED_USR.is_dir():  # else it installs perl to merge /usr itself
        command.append(f"--hook-dir={MERGED_USR}")
    command += [f"--customize-hook={TRIM}"]
    command += [release, str(tar), *(source.line for source in sources)]
    environment = {**os.environ, "TMPDIR": str(tar.parent)}
    result = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if result.returncode:
        raise LabError(
            f"expected mmdebstrap to make Debian {release}, but it ended with {result.returncode}",
            evidence="; ".join(result.stderr.strip().splitlines()[-3:]),
            next_step=f"run by hand: {' '.join(command)}",
        )


def _shown(sources: list[Source]) -> str:
    return ", ".join(f"{source.uri} {source.suite}" for source in sources) or "none"
