"""
The quorum arithmetic of a Swarm: managers that must agree, managers that may fail, downtime.

Source: https://docs.docker.com/engine/swarm/raft/
"""

from dataclasses import dataclass
from math import comb

import pandas as pd

from runbook_lib.core.errors import ConflictError
from runbook_lib.core.words import count_of


@dataclass(frozen=True)
class Quorum:
    """
    The number of managers, and of those that do not respond.

    Raft needs a majority: of 1 or 2 managers none may fail, of 3 one may.
    """

    managers: int
    unreachable: int = 0

    @property
    def needed(self) -> int:
        return self.managers // 2 + 1

    @property
    def reachable(self) -> int:
        return self.managers - self.unreachable

    @property
    def tolerated(self) -> int:
        """
        The number of further failures before the Swarm can no longer be changed.
        """
        return max(0, self.reachable - self.needed)

    @property
    def holds(self) -> bool:
        return self.reachable >= self.needed

    def __repr__(self) -> str:
        silent = f", {self.unreachable} without an answer" if self.unreachable else ""
        managers = count_of(self.managers, "manager")
        return f"{managers}{silent}; {self.needed} must agree, {self.tolerated} may fail"


def check_quorum_after(now: Quorum, *, managers: int = 0, unreachable: int = 0) -> Quorum:
    """
    Return the quorum after a change: `managers=1` for one that joins, `unreachable=1` for one that
    fails. Called before every change of managers.

    Raises ConflictError if no majority would be left: without one, a Swarm cannot be changed.
    """
    then = Quorum(now.managers + managers, now.unreachable + unreachable)
    if then.holds:
        return then
    raise ConflictError(
        f"expected a majority of the managers after this change; of {then.managers} then "
        f"{then.reachable} would answer, and {then.needed} must agree",
        evidence=f"now: {now!r}",
        next_step="docker node ls  on the manager shows which one is silent: bring it back first"
        if now.unreachable
        else "add another manager first, or dissolve the Swarm with 95_leave_swarm",
    )


def quorum_table(most: int = 3, each_down: float = 0.01) -> pd.DataFrame:
    """
    Tabulate numbers of managers; columns: managers, must_agree, may_fail, hours_a_year_without.

    The last column is the time without a majority, if each manager is independently down for the
    share `each_down` of the time.
    """
    rows = []
    for managers in range(1, most + 1):
        quorum = Quorum(managers)
        lost = sum(
            comb(managers, down) * each_down**down * (1 - each_down) ** (managers - down)
            for down in range(quorum.tolerated + 1, managers + 1)
        )
        rows.append((managers, quorum.needed, quorum.tolerated, round(lost * 365 * 24, 1)))
    columns = ["managers", "must_agree", "may_fail", "hours_a_year_without"]
    return pd.DataFrame(rows, columns=columns)
