"""
A node: what it reports, joining its engine, and changing its specification, with concurrent writes
by the Swarm.
"""

from collections.abc import Mapping
from typing import Any

import docker
from docker.errors import APIError
from docker.models.nodes import Node

from runbook_lib.core.wait import Pending, wait_for

PORT = 2377


def hostname(node: Mapping[str, Any]) -> str:
    """
    Return a node's name, or its id until it has reported one.
    """
    return str((node.get("Description") or {}).get("Hostname") or node["ID"])


def is_half_joined(node: Mapping[str, Any]) -> bool:
    """
    Check whether a node has a certificate and has never reported: its join was cut short.
    """
    return not (node.get("Description") or {}).get("Hostname")


def address(node: dict[str, Any]) -> str:
    """
    Return a node's address; a manager reports 0.0.0.0 there, and has the address in its manager
    status.
    """
    address = str(node["Status"].get("Addr", ""))
    if address in ("0.0.0.0", ""):  # noqa: S104 - compared, not bound
        return str(node.get("ManagerStatus", {}).get("Addr", "")).rsplit(":", 1)[0]
    return address


def labels(node: Mapping[str, Any]) -> dict[str, str]:
    """
    Return a node's labels.
    """
    return dict(node["Spec"].get("Labels") or {})


def join(engine: docker.DockerClient, *, manager_ip: str, token: str, advertise_ip: str) -> None:
    """
    Join a Swarm through one of its managers; the token determines manager or worker.

    The engine's API responds after twenty seconds, joined or not: right after boot, or on a busy
    machine, an engine may join later.
    """
    try:
        engine.swarm.join(
            remote_addrs=[f"{manager_ip}:{PORT}"], join_token=token, advertise_addr=advertise_ip
        )
    except APIError as error:
        if "continue in the background" not in str(error.explanation):
            raise

    def probe() -> bool | Pending:
        state = str(engine.info()["Swarm"]["LocalNodeState"])
        return state == "active" or Pending(f"it is {state}")

    wait_for(f"{advertise_ip} joins the Swarm", probe, timeout_s=90)


def change_spec(node: Node, changes: Mapping[str, Any]) -> None:
    """
    Change some fields; read and write again if the node has changed since it was read.
    """

    def probe() -> bool | Pending:
        try:
            node.update({**node.attrs["Spec"], **changes})
        except APIError as error:
            if "out of sequence" not in str(error.explanation):
                raise
            node.reload()
            return Pending("the Swarm changed it in between")
        return True

    wait_for("The node is changed", probe, timeout_s=15)
