"""
Docker Engine on every instance: the same version, from a signed source.

Source: section "Getting Resources & Dependencies" of the guide (`scripts/docker_install.sh`,
whose `apt-key` and compose v1 are obsolete).
"""

import json
import shlex
from collections.abc import Mapping
from typing import Any

import docker
import fabric
import pandas as pd

from runbook_lib.core.changes import Changes
from runbook_lib.core.parallel import for_each
from runbook_lib.hosts.installed import PACKAGES
from runbook_lib.hosts.ssh import run

REGISTRY_PORT = 5001

# The key's fingerprint is Docker's own, https://docs.docker.com/engine/install/ubuntu/
_DOCKER_CE = """
. /etc/os-release
install -d -m 0755 /etc/apt/keyrings
curl -fsSL --retry 5 "https://download.docker.com/linux/$ID/gpg" -o /etc/apt/docker.asc.partial
if ! gpg --show-keys --with-colons /etc/apt/docker.asc.partial \
  | grep 9DC858229FC7DD38854AE2D88D81803C0EBFCD88 >/dev/null; then
  echo "the key of Docker's repository is not the one that Docker publishes"; exit 1
fi
mv /etc/apt/docker.asc.partial /etc/apt/keyrings/docker.asc
echo "deb [arch=$(dpkg --print-architecture) signed-by=/etc/apt/keyrings/docker.asc]" \
  "https://download.docker.com/linux/$ID $VERSION_CODENAME stable" \
  >/etc/apt/sources.list.d/docker.list
refresh
packages install -y docker-ce{pin} docker-ce-cli{pin} containerd.io
"""

# pigz: the engine unpacks images with it if installed; docker-ce already recommends it
_DISTRO = """
install_docker() {{ packages install -y --no-install-recommends docker.io{pin} iptables pigz; }}
install_docker || {{ refresh && install_docker; }}
"""

_INSTALL = """
if command -v cloud-init >/dev/null; then
  timeout 600 cloud-init status --wait >/dev/null || true
fi
mend
wanted={wanted}
if command -v dockerd >/dev/null && docker version >/dev/null 2>&1; then
  installed=$(dpkg-query --show --showformat '${{Version}}' {package} || true)
  if [ -z "$wanted" ] || [ "$installed" = "$wanted" ]; then echo present; exit; fi
fi
bash -euo pipefail -c {script} >/var/log/runbook-docker.log 2>&1 || {{
  tail -5 /var/log/runbook-docker.log
  exit 1
}}
systemctl reset-failed docker 2>/dev/null || true
systemctl enable --now docker >/dev/null 2>&1 || true
timeout 60 sh -c 'until docker version >/dev/null 2>&1; do sleep 0.2; done' || {{
  journalctl --unit docker --no-pager --output cat --lines 200 | grep -v level=info | tail -4
  exit 1
}}
echo installed
"""

_CONFIGURE = """
install -d /etc/docker
wanted={wanted}
if [ "$(cat /etc/docker/daemon.json 2>/dev/null)" = "$wanted" ]; then echo same; exit; fi
printf '%s' "$wanted" >/etc/docker/daemon.json.partial
mv /etc/docker/daemon.json.partial /etc/docker/daemon.json
if systemctl -q is-active docker; then systemctl restart docker; fi
echo configured
"""

_REMOVE = f"""# remove Docker Engine
{PACKAGES}
purge() {{ packages purge -y "$@"; }}
mend >/dev/null
if ! command -v dockerd >/dev/null; then echo absent; exit; fi
systemctl disable --now docker.socket docker.service containerd.service >/dev/null 2>&1 || true
purge docker.io docker-ce docker-ce-cli docker-ce-rootless-extras docker-buildx-plugin \
  docker-compose-plugin containerd containerd.io runc >/dev/null 2>&1 ||
purge docker.io containerd runc >/dev/null
rm -rf /etc/docker /etc/apt/sources.list.d/docker.list /etc/apt/keyrings/docker.asc
find /var/lib/docker /var/lib/containerd -mindepth 1 -delete 2>/dev/null || true
echo removed
"""


def daemon_options(manager_private_ip: str, registry_mirror: str = "") -> dict[str, Any]:
    """
    Return the content of daemon.json: bounded logs, our registry on the manager, the mirror if any.

    Our registry speaks plain HTTP inside the `worker` group. Images are deployed by digest, so an
    image altered in transit is refused.
    """
    options: dict[str, Any] = {
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m", "max-file": "3"},
        "insecure-registries": [f"{manager_private_ip}:{REGISTRY_PORT}"],
    }
    if registry_mirror:
        options["registry-mirrors"] = [registry_mirror]
    return options


def ensure_engine(
    connections: dict[str, fabric.Connection],
    *,
    docker_source: str,
    options: dict[str, Any],
    docker_version: str = "",
) -> Changes:
    """
    Configure and install Docker Engine on all hosts in parallel; wait for cloud-init and dpkg.

    Parameters
    ----------
    docker_source
        "docker-ce" for Docker's signed apt repository, "distro" for the distribution's package.
    options
        The content of /etc/docker/daemon.json; the engine restarts if it differs.
    docker_version
        The exact package version; "" for the installed one, or the newest.
    """
    sources = {"docker-ce": ("docker-ce", _DOCKER_CE), "distro": ("docker.io", _DISTRO)}
    package, source = sources[docker_source]
    pin = f"={shlex.quote(docker_version)}" if docker_version else ""
    script = PACKAGES + source.format(pin=pin)
    install = ": install Docker Engine" + PACKAGES
    install += _INSTALL.format(
        script=shlex.quote(script), wanted=shlex.quote(docker_version), package=shlex.quote(package)
    )
    configure = _CONFIGURE.format(wanted=shlex.quote(json.dumps(options, indent=2)))
    changes = Changes()

    def one(item: tuple[str, fabric.Connection]) -> None:
        name, connection = item
        if run(connection, configure, sudo=True).strip() == "configured":
            changes.add("engine options", name, "written")
        said = run(connection, install, sudo=True).split()
        if "mended" in said:
            changes.add("packages", name, "finished an installation that was interrupted")
        if "installed" in said:
            changes.add("engine", name, f"installed from {docker_source}")

    for_each("Docker Engine installed", {n: (n, c) for n, c in connections.items()}, one)
    return changes


def remove_engine(connections: dict[str, fabric.Connection]) -> Changes:
    """
    Purge Docker Engine, its images and its volumes from all hosts.
    """
    changes = Changes()

    def one(item: tuple[str, fabric.Connection]) -> None:
        if run(item[1], _REMOVE, sudo=True).strip() == "removed":
            changes.add("engine", item[0], "removed")

    for_each("Docker Engine removed", {n: (n, c) for n, c in connections.items()}, one)
    return changes


def engine_table(clients: Mapping[str, docker.DockerClient]) -> pd.DataFrame:
    """
    Return a row per engine; columns: role, engine, storage, cgroups, limits (memory, CPU enforced).
    """
    info = for_each("Engines answer", clients, lambda client: client.info())
    rows = [
        (
            role,
            i["ServerVersion"],
            i["Driver"],
            i.get("CgroupVersion", "1"),
            bool(i["MemoryLimit"] and i["CpuCfsQuota"]),
        )
        for role, i in info.items()
    ]
    return pd.DataFrame(rows, columns=["role", "engine", "storage", "cgroups", "limits"])
