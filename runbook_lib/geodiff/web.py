"""
The web stack: its addresses, its token, its networks.

Source: section "Deploy - Web Stack" of the guide. The page comes from `admin-web`; the
browser then fetches the tiles from the manager, which holds them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import docker

from runbook_lib.cloud.instances import Instance
from runbook_lib.stacks.containers import SERVICE, find_services, read_secret

PAGE_PORT, TILES_PORT = 8080, 5000
_TOKEN = "tile_api_token"  # noqa: S105 - its name


@dataclass(frozen=True)
class Addresses:
    """
    The origins of the page and of the tiles, on the internet.
    """

    page: str
    tiles: str

    @property
    def variables(self) -> dict[str, str]:
        """
        The variables of the stack file: each service gets the other one's address.
        """
        return {"UI_ORIGIN": self.page, "TILES_URL": self.tiles}


@dataclass(frozen=True)
class Token:
    """
    The token of the tile server; it does not show itself.
    """

    value: str = field(repr=False)

    @property
    def header(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.value}"}


def addresses(instances: Mapping[str, Instance]) -> Addresses:
    """
    The addresses of both nodes, which are in the group `web`.
    """
    return Addresses(
        f"http://{instances['admin-web'].public_ip}:{PAGE_PORT}",
        f"http://{instances['manager'].public_ip}:{TILES_PORT}",
    )


def token_command(service: str) -> str:
    """
    The command that prints the token, on the node of the tile server.
    """
    label = f"label={SERVICE}={service}"
    return f"sudo docker exec $(sudo docker ps -qf {label} | head -1) cat /run/secrets/{_TOKEN}"


def read_token(engine: docker.DockerClient, service: str) -> Token:
    """
    Read the token in the tile server's container on this engine's node.
    """
    step = "run 07_web_stack from its beginning"
    return Token(read_secret(engine, service, _TOKEN, step))


def find_networks(manager: docker.DockerClient, stack_name: str) -> list[str]:
    """
    The networks of a stack's services; a service reaches only what shares one with it.
    """
    ids = {
        network["Target"]
        for service in find_services(manager, stack_name)
        for network in service.attrs["Spec"]["TaskTemplate"].get("Networks", [])
    }
    return sorted(str(n.name) for n in manager.networks.list() if n.id in ids)
