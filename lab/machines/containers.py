"""
Instances as containers: the only module that calls the Docker engine about them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import docker
from docker.errors import APIError, NotFound
from docker.types import LogConfig

from lab.core.config import LabConfig
from lab.core.errors import LabError

INSTANCE_LABEL = "lab.instance"
STOP_TIMEOUT_S = 20
CONSOLE_BYTES = 65536  # as much as EC2 keeps
# What systemd, sshd and a Docker Engine inside need; --privileged would be more, and fails on
# hosts that lack a capability.
CAPABILITIES = (
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK"),
    *("IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE"),
    *("NET_BROADCAST", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_ADMIN"),
    *("SYS_BOOT", "SYS_CHROOT", "SYS_NICE", "SYS_PTRACE", "SYSLOG"),
)
UNCONFINED = ("seccomp=unconfined", "apparmor=unconfined")
APPLY = (
    'printf %s "$1" >/etc/lab/net.new && mv /etc/lab/net.new /etc/lab/net.sh'
    " && exec sh /etc/lab/net.sh"
)
WAIT_READY = "for i in $(seq 1800); do [ -e /run/lab-ready ] && exit 0; sleep 0.1; done; exit 1"


@dataclass(frozen=True)
class Hardware:
    """
    The hardware of an instance, from which its container is created.
    """

    instance_id: str
    address: str
    dns_name: str
    memory_mib: int
    vcpus: int


@dataclass(frozen=True)
class Condition:
    """
    Whether a container exists and runs, and how its first process ended when it does not.
    """

    exists: bool
    running: bool = False
    exit_code: int = 0


class Machines:
    """
    The containers of one lab, by instance id.
    """

    def __init__(self, config: LabConfig) -> None:
        self._config = config
        self._api = docker.APIClient(
            base_url=config.docker_host, version="auto", timeout=300, num_pools=32
        )

    def name(self, instance_id: str) -> str:
        return f"lab-{self._config.name}-{instance_id}"

    def create(self, hardware: Hardware, files: bytes) -> None:
        """
        Create a container that is not started yet, with `files` (a tar) in it.
        """
        label_key, label_value = self._config.label.split("=")
        host_config = self._api.create_host_config(
            cap_add=list(CAPABILITIES),
            cap_drop=["ALL"],
            security_opt=list(UNCONFINED),
            cgroupns="private",
            tmpfs={"/run": "", "/tmp": ""},  # noqa: S108 (a mount point, not a file of ours)
            device_cgroup_rules=["a *:* rwm"],
            mem_limit=f"{hardware.memory_mib}m",
            memswap_limit=f"{hardware.memory_mib}m",  # no swap, as cloud images have none
            nano_cpus=min(hardware.vcpus, os.cpu_count() or 1) * 10**9,
            log_config=LogConfig(
                type=LogConfig.types.JSON, config={"max-size": "4m", "max-file": "1"}
            ),
        )
        # systempaths=unconfined on docker's command line; the SDK has no argument for it.
        host_config |= {"MaskedPaths": [], "ReadonlyPaths": []}
        endpoint = self._api.create_endpoint_config(
            ipv4_address=hardware.address, aliases=[hardware.dns_name]
        )
        self._api.create_container(
            self._config.instance_image,
            name=self.name(hardware.instance_id),
            hostname=hardware.dns_name.split(".")[0],
            entrypoint=["/etc/lab/network"],
            tty=True,  # gives the guest a console
            environment={"container": "docker"},
            volumes=["/var/lib/docker"],  # overlay on overlay fails
            stop_signal="SIGRTMIN+3",  # systemd's: power off
            labels={label_key: label_value, INSTANCE_LABEL: hardware.instance_id},
            networking_config={"EndpointsConfig": {self._config.network: endpoint}},
            host_config=host_config,
        )
        self.put(hardware.instance_id, files)

    def put(self, instance_id: str, files: bytes) -> None:
        self._api.put_archive(self.name(instance_id), "/", files)

    def start(self, instance_id: str) -> None:
        self._api.start(self.name(instance_id))

    def stop(self, instance_id: str) -> None:
        self._api.stop(self.name(instance_id), timeout=STOP_TIMEOUT_S)

    def restart(self, instance_id: str) -> None:
        self._api.restart(self.name(instance_id), timeout=STOP_TIMEOUT_S)

    def execute(self, instance_id: str, script: str) -> str:
        """
        Run a shell script in an instance, as root; return its output.
        """
        code, output = self._run(instance_id, ["sh", "-ec", script])
        if code:
            raise LabError(
                f"expected a script to run in {instance_id}, but it ended with {code}",
                evidence=output[-500:],
                next_step=f"docker exec -it {self.name(instance_id)} bash",
            )
        return output

    def pause(self, instance_id: str) -> None:
        """
        Freeze every process of an instance.
        """
        if not self._paused(instance_id):
            self._api.pause(self.name(instance_id))

    def unpause(self, instance_id: str) -> None:
        if self._paused(instance_id):
            self._api.unpause(self.name(instance_id))

    def remove(self, instance_id: str) -> None:
        """
        Remove container and volume; happy if they are gone.
        """
        try:
            self._api.remove_container(self.name(instance_id), v=True, force=True)
        except NotFound:
            return

    def wait_ready(self, instance_id: str) -> None:
        """
        Wait until sshd answers inside; LabError after three minutes.
        """
        code, output = self._run(instance_id, ["sh", "-c", WAIT_READY])
        if code:
            raise LabError(
                f"expected {instance_id} to reach its SSH service within 180 s, but it did not",
                evidence=output or self.console(instance_id)[-500:].decode(errors="replace"),
                next_step=f"docker logs {self.name(instance_id)}",
            )

    def apply(self, instance_id: str, script: str) -> None:
        """
        Run an interface script in the outer network namespace, and keep it for the next boot.
        """
        command = ["nsenter", "--net=/run/netns/outer", "sh", "-c", APPLY, "sh", script]
        code, output = self._run(instance_id, command)
        if code:
            raise LabError(
                f"expected {instance_id} to accept its firewall rules, but it did not",
                evidence=output,
                next_step=f"docker exec {self.name(instance_id)} cat /etc/lab/net.new",
            )

    def console(self, instance_id: str) -> bytes:
        """
        The last 64 KiB that the guest wrote to its console; they survive restarts.
        """
        try:
            text: bytes = self._api.logs(self.name(instance_id))
        except NotFound:
            return b""
        return text.replace(b"\r", b"")[-CONSOLE_BYTES:]

    def condition(self, instance_id: str) -> Condition:
        try:
            state = self._api.inspect_container(self.name(instance_id))["State"]
        except NotFound:
            return Condition(exists=False)
        return Condition(exists=True, running=state["Running"], exit_code=state["ExitCode"])

    def find_ids(self) -> list[str]:
        """
        The instance ids of all containers of this lab, running or not.
        """
        containers = self._api.containers(all=True, filters=self._filters())
        return [container["Labels"][INSTANCE_LABEL] for container in containers]

    def exits(self) -> Iterator[str]:
        """
        Yield the id of each instance whose container exits, for whatever reason, for ever.
        """
        filters: dict[str, Any] = {**self._filters(), "event": "die"}
        for event in self._api.events(decode=True, filters=filters):
            yield event["Actor"]["Attributes"][INSTANCE_LABEL]

    def check(self) -> None:
        """
        LabError unless the engine answers and has the image and the network.
        """
        config = self._config
        try:
            self._api.inspect_image(config.instance_image)
            self._api.inspect_network(config.network)
        except (APIError, OSError) as exc:
            raise LabError(
                f"expected a Docker engine with image {config.instance_image} and network "
                f"{config.network} at {config.docker_host}",
                evidence=str(exc),
                next_step=f"python -m lab up --name {config.name}",
            ) from exc

    def _paused(self, instance_id: str) -> bool:
        return bool(self._api.inspect_container(self.name(instance_id))["State"]["Paused"])

    def _filters(self) -> dict[str, Any]:
        return {"label": [self._config.label, INSTANCE_LABEL]}

    def _run(self, instance_id: str, command: list[str]) -> tuple[int, str]:
        exec_id = self._api.exec_create(self.name(instance_id), command)["Id"]
        output: bytes = self._api.exec_start(exec_id)
        code: int = self._api.exec_inspect(exec_id)["ExitCode"]
        return code, output.decode(errors="replace").strip()
