"""
The files that an instance gets before it starts, as a tar: `guest/`, keys, user data, rules.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

GUEST = Path(__file__).with_name("guest")
UNITS = ("lab-init.service", "lab-ready.service", "lab-final.service")
SCRIPTS = {
    "network": "etc/lab/network",
    "init": "etc/lab/init",
    "final": "etc/lab/final",
    "cloud-init": "usr/bin/cloud-init",
}
RULES_SCRIPT = "etc/lab/net.sh"
UBUNTU = 1000  # the user of the image, as on Canonical's


class _Archive:
    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.TarFile(fileobj=self._buffer, mode="w")

    def file(self, name: str, data: bytes, mode: int = 0o644, owner: int = 0) -> None:
        entry = self._entry(name, mode, owner)
        entry.size = len(data)
        self._tar.addfile(entry, io.BytesIO(data))

    def folder(self, name: str, mode: int = 0o755, owner: int = 0) -> None:
        entry = self._entry(name, mode, owner)
        entry.type = tarfile.DIRTYPE
        self._tar.addfile(entry)

    def link(self, name: str, target: str) -> None:
        entry = self._entry(name, 0o777, 0)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        self._tar.addfile(entry)

    def done(self) -> bytes:
        self._tar.close()
        return self._buffer.getvalue()

    @staticmethod
    def _entry(name: str, mode: int, owner: int) -> tarfile.TarInfo:
        entry = tarfile.TarInfo(name)
        entry.mode, entry.uid, entry.gid = mode, owner, owner
        return entry


def first_start_archive(
    *, authorized_key: str, user_data: bytes, mirror_url: str, script: str
) -> bytes:
    """
    Everything that a new instance needs, with the firewall rules for its first boot.
    """
    archive = _Archive()
    for source, target in SCRIPTS.items():
        archive.file(target, (GUEST / source).read_bytes(), 0o755)
    for unit in UNITS:
        archive.file(f"etc/systemd/system/{unit}", (GUEST / unit).read_bytes())
        archive.link(f"etc/systemd/system/multi-user.target.wants/{unit}", f"../{unit}")
    # A drop-in, as daemon.json belongs to the person who installs Docker.
    mirror = f'[Service]\nEnvironment="DOCKER_OPTS=--registry-mirror={mirror_url}"\n'
    archive.folder("etc/systemd/system/docker.service.d")
    archive.file("etc/systemd/system/docker.service.d/lab-mirror.conf", mirror.encode())
    archive.file("var/lib/cloud/instance/user-data.txt", user_data, 0o600)
    if authorized_key:
        archive.folder("home/ubuntu/.ssh", 0o700, UBUNTU)
        keys = (authorized_key.strip() + "\n").encode()
        archive.file("home/ubuntu/.ssh/authorized_keys", keys, 0o600, UBUNTU)
    archive.file(RULES_SCRIPT, script.encode(), 0o700)
    return archive.done()


def restart_archive(script: str) -> bytes:
    """
    The rules only: they may have changed while the instance was stopped.
    """
    archive = _Archive()
    archive.file(RULES_SCRIPT, script.encode(), 0o700)
    return archive.done()
