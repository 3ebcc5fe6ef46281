"""
One handle for a cluster: its EC2 client, its instances by role, and their open clients.

The handle wraps no SDK: it keeps boto3's client, fabric's connections and Docker's clients.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import fabric
import pandas as pd

from runbook_lib.cloud.aws import Place
from runbook_lib.cloud.instances import Instance, find_running, get_instances, table
from runbook_lib.core.errors import NotFoundError
from runbook_lib.hosts import ssh

if TYPE_CHECKING:
    import docker
    from mypy_boto3_ec2 import EC2Client


@dataclass
class Cluster:
    """
    A running cluster. Connections and engines are opened on first use, in parallel.

    Parameters
    ----------
    instances
        All instances by role.
    roles
        The roles that the handle connects to.
    """

    name: str
    key_file: str
    place: Place
    ec2: "EC2Client"
    instances: dict[str, Instance]
    roles: Collection[str]

    @cached_property
    def connections(self) -> dict[str, fabric.Connection]:
        """
        An SSH connection to every instance, by role.
        """
        return ssh.connect_all([self.instances[role] for role in self.roles], self.key_file)

    @cached_property
    def engines(self) -> "dict[str, docker.DockerClient]":
        """
        A Docker client for every instance, by role.

        Raises NotFoundError if an instance has no Docker.
        """
        clients = self.find_engines()
        if missing := [role for role in self.roles if role not in clients]:
            raise NotFoundError(
                f"expected Docker on every instance; {', '.join(missing)} has none",
                next_step="run 03_install",
            )
        return clients

    def find_engines(self) -> "dict[str, docker.DockerClient]":
        """
        Open a Docker client for each instance that has Docker, by role.
        """
        # imported here: Docker's SDK takes a second, which kernels without engines (02) would lose
        from runbook_lib.hosts.docker_ssh import find_docker_clients  # noqa: PLC0415

        return find_docker_clients(self.connections)

    @property
    def table(self) -> pd.DataFrame:
        """
        The instances that the handle connects to, one per row; columns as in `instances.table`.
        """
        return table([self.instances[role] for role in self.roles])

    def only(self, *roles: str) -> "Cluster":
        """
        Return the same cluster connected to these roles only; roles without an instance are
        ignored.
        """
        return replace(self, roles=[role for role in self.instances if role in roles])

    def without(self, *roles: str) -> "Cluster":
        """
        Return the same cluster, connected to all roles except these.
        """
        return replace(self, roles=[role for role in self.instances if role not in roles])

    def client(self, service: str) -> Any:  # noqa: ANN401 - as `Place.client`
        """
        Return a boto3 client of another service in the cluster's region.
        """
        return self.place.client(service)


def get_cluster(name: str, key_file: str, place: Place) -> Cluster:
    """
    Return the cluster, whose instances must all be running.

    Raises NotFoundError if it has no instances, or one that is not running.
    """
    ec2: EC2Client = place.client("ec2")
    instances = get_instances(ec2, name)
    return Cluster(name, key_file, place, ec2, instances, list(instances))


def find_cluster(name: str, key_file: str, place: Place) -> Cluster:
    """
    Find the cluster, possibly without instances; for an undo that must reach all of them.

    Raises NotFoundError if an instance is not running: nothing could be undone on it.
    """
    ec2: EC2Client = place.client("ec2")
    instances = find_running(ec2, name)
    return Cluster(name, key_file, place, ec2, instances, list(instances))
