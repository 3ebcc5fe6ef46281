"""
The roles of a cluster's instances in one table: security groups and Swarm membership.

Source: sections "AWS - Console", "Grupos de Seguridad" and "Configurando el Swarm" of the guide.
"""

import re
from dataclasses import dataclass

from runbook_lib.core.errors import ParameterError

MANAGER, BACKUP, WEB, WORKER = "manager", "manager-backup", "admin-web", "worker"
TYPE_NODE = "typeNode"
"""The node label that places services."""


@dataclass(frozen=True)
class Role:
    """
    The properties of an instance's role.

    Parameters
    ----------
    groups
        Its security groups. The guide puts a manager only into `manager`; two managers then cannot
        reach each other on 2377, 7946 and 4789, so every node is a member of `worker`. The tile
        server (5000) runs on the manager, so the manager is a member of `web`. `backup` is ours:
        the manager and the instance with a copy of its tiles.
    is_manager
        Whether its node is a Swarm manager.
    joins_in
        The notebook that joins its engine to the Swarm.
    type_node
        The value of its node's label `typeNode`; "" for none.
    """

    groups: tuple[str, ...]
    is_manager: bool
    joins_in: str
    type_node: str = ""


_MANAGER_GROUPS = ("worker", "manager", "web", "backup")

ROLES = {
    MANAGER: Role(_MANAGER_GROUPS, True, "05_swarm", "master"),
    BACKUP: Role(_MANAGER_GROUPS, True, "30_manager_backup", "master-backup"),
    WORKER: Role(("worker",), False, "05_swarm"),
    WEB: Role(("worker", "manager", "web"), True, "07_web_stack", "master-web"),
}
"""All roles in the order of listings; the workers are worker-1, worker-2 and so on."""

MANAGERS = tuple(name for name, role in ROLES.items() if role.is_manager)
LATER = tuple(name for name, role in ROLES.items() if role.joins_in != "05_swarm")
"""Roles that join the Swarm after 05."""


def get_role(name: str) -> Role:
    """
    Return the role of an instance by its name.

    Raises ParameterError if no role has that name.
    """
    kind = WORKER if re.fullmatch(rf"{WORKER}-\d+", name) else name
    if kind not in ROLES:
        raise ParameterError(
            f"expected one of the roles {', '.join(ROLES)}, saw {name!r}",
            next_step="correct the instance's tag runbook:role, or terminate it",
        )
    return ROLES[kind]


def order(name: str) -> tuple[int, int, str]:
    """
    Return a sort key: roles in the order of the table, workers by number.
    """
    kind, _, number = name.rpartition("-")
    rank = list(ROLES)
    if kind == WORKER and number.isdigit():
        return rank.index(WORKER), int(number), name
    return (rank.index(name) if name in rank else len(rank)), 0, name
