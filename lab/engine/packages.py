"""
Install the Debian packages of programs that the lab needs and this host lacks.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from lab.core.errors import LabError

PACKAGE_OF = {
    "chromium": "chromium",
    "dockerd": "docker.io",
    "fusermount3": "fuse3",
    "haproxy": "haproxy",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "zip": "zip",
}
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_MARK = "# written by the geo-diff rehearsal lab"
POLICY_TEXT = f"#!/bin/sh\n{POLICY_MARK}: no package starts a service while it installs\nexit 101\n"
# several steps of `up`, and several labs, may each find something missing
ONE_AT_A_TIME = Path("/run/lock/geo-diff-lab-packages.lock")
LISTS = Path("/var/lib/apt/lists")


def missing_programs(wanted: list[str]) -> list[str]:
    return [program for program in wanted if not shutil.which(program)]


def ensure_programs(wanted: list[str]) -> list[str]:
    """
    Install the packages of missing programs and return their names; empty: nothing to do.
    """
    packages = [PACKAGE_OF[program] for program in missing_programs(wanted)]
    if not packages:
        return []
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise LabError(
            f"the lab needs the packages {', '.join(packages)}, but they are missing",
            evidence="only root can install them, with apt-get",
            next_step=f"sudo apt-get install {' '.join(packages)}",
        )
    with FileLock(ONE_AT_A_TIME):
        return _install([PACKAGE_OF[program] for program in missing_programs(wanted)])


def _install(packages: list[str]) -> list[str]:
    if not packages:  # another has just done it
        return []
    with _no_service_starts():
        if not list(LISTS.glob("*Packages*")):
            _apt_get("update")
        install = ["install", "--yes", "--no-install-recommends", *packages]
        try:
            _apt_get(*install)
        except LabError:  # stale lists name versions that the mirror has replaced
            _apt_get("update")
            _apt_get(*install)
    return packages


def _apt_get(*arguments: str) -> None:
    options = ["-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Options::=--force-unsafe-io"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    result = subprocess.run(
        ["apt-get", *options, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    if result.returncode:
        command = " ".join(["apt-get", *arguments])
        raise LabError(
            f"expected {command} to succeed, but it ended with {result.returncode}",
            evidence="; ".join(result.stderr.strip().splitlines()[-3:]),
            next_step=f"run as root: {command}",
        )


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """
    Keep packages from starting services: the lab starts its own daemon, under its own paths.

    Restores the policy that was there before; one that a killed run of ours left is recognised.
    """
    kept = POLICY.with_name(f"{POLICY.name}.before-lab")
    ours = POLICY.exists() and POLICY_MARK in POLICY.read_text(encoding="utf-8", errors="replace")
    if POLICY.exists() and not ours:
        POLICY.replace(kept)
    POLICY.write_text(POLICY_TEXT, encoding="utf-8")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        if kept.exists():
            kept.replace(POLICY)
        else:
            POLICY.unlink(missing_ok=True)
