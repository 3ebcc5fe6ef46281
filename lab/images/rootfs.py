"""
Debian as a tar file, made from the machine's own mirror and kept between runs.

mmdebstrap instead of debootstrap: it unpacks by apt and writes the tar itself, in half the time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from lab.core.errors import LabError
from lab.core.locks import only_one
from lab.core.processes import find_processes, stop_process
from lab.images.debian_mirrors import Source, answering, host_sources, sources_for
from lab.images.host_access import apt_options

PREFIX = "work-"
MERGED_USR = Path("/usr/share/mmdebstrap/hooks/merged-usr")
# mmdebstrap's own path-exclude filter is a Python process a package: slower than removing
TRIM = 'cd "$1/usr/share" && rm -rf man/* locale/* && find doc -type f ! -name copyright -delete'


def find_rootfs(folder: Path, release: str, digest: str) -> Path | None:
    """
    The kept tar of a release, if it is there and is what its checksum says.
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
    The tar of a release: kept and verified, or made now.
    """
    with only_one(folder / f"{release}.lock"):
        return find_rootfs(folder, release, digest) or _make(folder, release, digest)


def _make(folder: Path, release: str, digest: str) -> Path:
    """
    Build the tar under a temporary name; only a whole one gets its checksum and its name.
    """
    sources = answering(sources_for(release, host_sources()))
    if not any(source.suite == release for source in sources):
        raise LabError(
            f"the lab makes its images from Debian {release}, but no mirror of it answers",
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
    Remove what killed runs left half made, of every release.
    """
    for release in {work.name.split("-")[1] for work in folder.glob(f"{PREFIX}*")}:
        with only_one(folder / f"{release}.lock"):  # who makes it now is waited for
            _remove_abandoned(folder, release)


def _remove_abandoned(folder: Path, release: str) -> None:
    """
    Remove the work of a killed run; what still writes there is ended first.

    mmdebstrap mounts the host's /proc and /sys in its work. They are taken away before anything
    is removed; where one stays, so does the work.
    """
    for work in folder.glob(f"{PREFIX}{release}-*"):
        for pid in find_processes("mmdebstrap", str(work)):
            stop_process(pid, "mmdebstrap", timeout_s=3)
        for point in mounts_below(work):
            subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)
        if not mounts_below(work):
            shutil.rmtree(work, ignore_errors=True)


def mounts_below(folder: Path) -> list[str]:
    """
    What is mounted below a folder, the deepest first.
    """
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    points = {line.split()[4] for line in lines}
    return sorted((p for p in points if p.startswith(f"{folder}/")), reverse=True)


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
            f"mmdebstrap should make a Debian {release}, but ended with {result.returncode}",
            evidence="; ".join(result.stderr.strip().splitlines()[-3:]),
            next_step=f"run by hand: {' '.join(command)}",
        )


def _shown(sources: list[Source]) -> str:
    return ", ".join(f"{source.uri} {source.suite}" for source in sources) or "none"
