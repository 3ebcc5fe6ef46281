"""
The pool of addresses that play the public ones.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from lab.core.errors import LabError


def free_address(pool: str, used: Iterable[str | None]) -> str:
    """
    Return the lowest address of the network `pool` that is not in `used`.
    """
    taken = set(used)
    for address in ipaddress.ip_network(pool).hosts():
        if str(address) not in taken:
            return str(address)
    raise LabError(
        f"expected a free public address in {pool}, but all are taken",
        evidence=f"{len(taken)} in use",
        next_step="release Elastic IPs or terminate instances",
    )
