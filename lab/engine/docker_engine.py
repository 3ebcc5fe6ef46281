"""
Choose the Docker engine of the lab: one that answers and suffices, or a private one, started here.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException

from lab.core.errors import LabError
from lab.engine import dockerd, packages

DEFAULT_HOST = "unix:///var/run/docker.sock"
DISTRIBUTIONS = ("debian", "ubuntu")


@dataclass(frozen=True)
class Engine:
    """
    An engine that answers; `private` when it is the one that the lab started.
    """

    host: str
    version: str
    private: bool

    def client(self, *, timeout_s: int = 600) -> docker.DockerClient:
        return docker.DockerClient(base_url=self.host, timeout=timeout_s)


@dataclass
class Search:
    """
    The outcome of a search: an engine, or the reason against each candidate.
    """

    engine: Engine | None = None
    reasons: dict[str, str] = field(default_factory=dict)


def engine_problems(info: Mapping[str, Any], kernel: str) -> list[str]:
    """
    Why an engine with this /info cannot run instances; empty when it can.
    """
    problems = []
    if info.get("OSType") != "linux":
        problems.append(f"it runs {info.get('OSType')} containers")
    if info.get("KernelVersion") != kernel:
        problems.append("it runs on another machine, so this host cannot reach its addresses")
    if info.get("Driver") == "vfs":
        problems.append("its storage driver vfs copies every layer")
    if any("rootless" in option for option in info.get("SecurityOptions") or []):
        problems.append("it is rootless: instances need mounts and devices of their own")
    if not info.get("MemoryLimit") or not (info.get("CpuCfsQuota") or info.get("CPUCfsQuota")):
        problems.append("it cannot limit memory and CPU, so it cannot enforce instance types")
    return problems


def candidates(daemon: dockerd.Daemon, environ: Mapping[str, str]) -> list[str]:
    """
    The addresses where an engine may answer, in order of preference, each once.
    """
    hosts = [environ.get("DOCKER_HOST", ""), DEFAULT_HOST, daemon.host]
    return list(dict.fromkeys(host for host in hosts if host))


def find_engine(daemon: dockerd.Daemon, environ: Mapping[str, str] = os.environ) -> Search:
    """
    The first candidate that answers and suffices. Starts and changes nothing.
    """
    search = Search()
    for host in candidates(daemon, environ):
        try:
            client = docker.DockerClient(base_url=host, timeout=10)
            info = client.info()
        except (DockerException, OSError, ValueError) as exc:
            search.reasons[host] = _connection_problem(host, exc)
            continue
        problems = engine_problems(info, platform.release())
        if not problems:
            search.engine = Engine(host, str(info["ServerVersion"]), host == daemon.host)
            return search
        search.reasons[host] = "; ".join(problems)
    return search


def ensure_engine(daemon: dockerd.Daemon, environ: Mapping[str, str] = os.environ) -> Engine:
    """
    Find an engine, or else install and start one under our own paths.
    """
    with dockerd.lock(daemon):
        search = find_engine(daemon, environ)
        if search.engine is None:
            if problem := private_engine_problem(search):
                raise problem
            packages.ensure_programs(["dockerd", "iptables"])
            dockerd.start_daemon(daemon)
            search = find_engine(daemon, {"DOCKER_HOST": daemon.host})
        if search.engine is None:
            raise LabError(
                "expected the private Docker daemon to be able to run instances, but it is not",
                evidence=search.reasons.get(daemon.host, "it does not answer"),
                next_step=f"read {daemon.log_file}",
            )
        return search.engine


def private_engine_problem(search: Search) -> LabError | None:
    """
    The error when an engine cannot be installed and started here; None when it can.
    """
    reasons = "; ".join(f"{host}: {reason}" for host, reason in search.reasons.items())
    if os.geteuid() == 0 and (not packages.missing_programs(["dockerd"]) or _is_debian()):
        return None
    if "no right" in reasons:
        step = "sudo usermod -aG docker $USER, then log in again; or run the lab as root"
    elif _is_debian():
        step = "run the lab as root (it then starts an engine of its own), or: "
        step += "sudo apt-get install docker.io iptables && sudo usermod -aG docker $USER"
    else:
        step = "install Docker Engine for your distribution and start it"
    return LabError(
        "expected a Docker engine that can run instances, but there is none",
        evidence=reasons,
        next_step=step,
    )


def _is_debian(os_release: Path = Path("/etc/os-release")) -> bool:
    with suppress(OSError):
        for line in os_release.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition("=")
            if key in {"ID", "ID_LIKE"} and set(value.strip('"').split()) & set(DISTRIBUTIONS):
                return True
    return False


def _connection_problem(host: str, error: Exception) -> str:
    path = Path(host.removeprefix("unix://"))
    if not host.startswith("unix://"):
        return "it does not answer"
    if not path.exists():
        return "the socket does not exist"
    if not os.access(path, os.R_OK | os.W_OK):
        return "you have no right to use the socket"
    return "nothing listens on the socket" if "refused" in str(error) else f"{error}"
