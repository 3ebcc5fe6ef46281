"""
The web stack: its addresses, token and networks.

Source: section "Deploy - Web Stack" of the guide. The page comes from `admin-web`; the
browser then fetches the tiles from the manager, which has them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import docker

from runbook_lib.cloud.instances import Instance
from runbook_lib.cloud.roles import BACKUP, MANAGER, WEB
from runbook_lib.stacks.running.containers import SERVICE, find_services, read_secret

PAGE_PORT, TILES_PORT = 8080, 5000
_TOKEN = "tile_api_token"  # noqa: S105 - its name


@dataclass(frozen=True)
class Addresses:
    """
    The public origins of the page and of the tiles, and the SHA-256 of their certificate, if any.
    """

    page: str
    tiles: str
    pin: str = ""

    def __repr__(self) -> str:
        return f"page {self.page}, tiles {self.tiles}, pin {self.pin or 'none'}"

    @property
    def variables(self) -> dict[str, str]:
        """
        The variables of the stack file: each service gets the other one's address.
        """
        return {"UI_ORIGIN": self.page, "TILES_URL": self.tiles}


@dataclass(frozen=True)
class Token:
    """
    The token of the tile server, hidden from `repr`.
    """

    value: str = field(repr=False)

    @property
    def header(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.value}"}


def addresses(
    instances: Mapping[str, Instance], *, pin: str = "", page_name: str = "", tiles_name: str = ""
) -> Addresses:
    """
    Return the addresses of both nodes, which are in the group `web`, or the names that lead there.

    They speak TLS if their certificate is known, by its SHA-256 `pin`.
    """
    scheme = "https" if pin else "http"
    page = page_name or instances[WEB].public_ip
    tiles = tiles_name or instances[MANAGER].public_ip
    return Addresses(f"{scheme}://{page}:{PAGE_PORT}", f"{scheme}://{tiles}:{TILES_PORT}", pin)


def hosts(
    instances: Mapping[str, Instance], page_name: str = "", tiles_name: str = ""
) -> list[str]:
    """
    Return all that a certificate of the map has to name, also for a failover.
    """
    masters = [instances[role].public_ip for role in (MANAGER, BACKUP) if role in instances]
    page = page_name or instances[WEB].public_ip
    return [page, *([tiles_name] if tiles_name else masters)]


def token_command(service: str) -> str:
    """
    Return the command that prints the token, on the node of the tile server.
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
    Find the networks of a stack's services; services reach each other only in a shared network.
    """
    ids = {
        network["Target"]
        for service in find_services(manager, stack_name)
        for network in service.attrs["Spec"]["TaskTemplate"].get("Networks", [])
    }
    return sorted(str(n.name) for n in manager.networks.list() if n.id in ids)
