"""
A node's specification, which the Swarm may write at the same time.
"""

from collections.abc import Mapping
from typing import Any

from docker.errors import APIError
from docker.models.nodes import Node

from runbook_lib.core.wait import Pending, wait_for

_STALE = "out of sequence"


def change_spec(node: Node, changes: Mapping[str, Any], timeout_s: float = 15) -> None:
    """
    Change some fields; read and written again where the node has changed since it was read.
    """

    def probe() -> bool | Pending:
        try:
            node.update({**node.attrs["Spec"], **changes})
        except APIError as error:
            if _STALE not in str(error.explanation):
                raise
            node.reload()
            return Pending("the Swarm changed it in between")
        return True

    wait_for("The node is changed", probe, timeout_s=timeout_s)
