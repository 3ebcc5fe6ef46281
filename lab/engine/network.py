"""
The Docker network that plays the default VPC.
"""

from __future__ import annotations

import docker
from docker.errors import APIError, NotFound
from docker.types import IPAMConfig, IPAMPool

from lab.core.config import LabConfig
from lab.core.errors import LabError


def ensure_network(client: docker.DockerClient, config: LabConfig) -> bool:
    """
    Create the network, or adopt the one of an earlier run; whether it is new.
    """
    key, _, value = config.label.partition("=")
    try:
        attributes = client.networks.get(config.network).attrs
    except NotFound:
        pool = IPAMPool(subnet=config.subnet, gateway=config.gateway, iprange=config.dynamic_range)
        try:
            client.networks.create(
                config.network, ipam=IPAMConfig(pool_configs=[pool]), labels={key: value}
            )
        except APIError as exc:
            raise LabError(
                f"expected the engine to give the lab's network {config.subnet}, but it refuses",
                evidence=str(exc.explanation),
                next_step="python -m lab up --subnet 172.30.0.0/16   # or another private /16",
            ) from exc
        return True
    subnets = [pool["Subnet"] for pool in attributes["IPAM"]["Config"]]
    if attributes["Labels"].get(key) != value or subnets != [config.subnet]:
        raise LabError(
            f"expected the network {config.network} to be this lab's, with {config.subnet}",
            evidence=f"its subnets are {subnets}, its labels {attributes['Labels']}",
            next_step=f"python -m lab down --name {config.name}",
        )
    return False


def remove_network(client: docker.DockerClient, config: LabConfig) -> bool:
    """
    Remove the network; whether there was one.
    """
    key, _, value = config.label.partition("=")
    networks = client.networks.list(names=[config.network], filters={"label": f"{key}={value}"})
    for network in networks:
        network.remove()
    return bool(networks)
