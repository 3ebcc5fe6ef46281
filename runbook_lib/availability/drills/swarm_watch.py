"""
The nodes' states as the Swarm tells them, polled while something fails: who was missed, and when.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

import fabric
import pandas as pd
from docker.errors import APIError
from paramiko import SSHException
from requests import RequestException

from runbook_lib.cloud.instances import Instance
from runbook_lib.hosts.docker_ssh import docker_client
from runbook_lib.swarm.membership import address

SWARM = "the Swarm"
NO_LEADER, LED_BY = "no leader", "led by "
_POLL_S = 0.5
_ANSWER_S = 5
"""A leader that has lost the others, and who asks it, let a request wait until they give up."""


class SwarmWatch:
    """
    Notes each change of a node's state, and of who leads; where no manager answers in time, nobody
    does.
    """

    def __init__(
        self, managers: Mapping[str, fabric.Connection], instances: Mapping[str, Instance]
    ) -> None:
        self._managers = {role: docker_client(c, _ANSWER_S) for role, c in managers.items()}
        self._roles = {i.private_ip: role for role, i in instances.items()}
        self._spared: frozenset[str] = frozenset()
        self._last: dict[str, str] = {}
        self._rows: list[tuple[datetime, str, str]] = []
        self._over = threading.Event()

    @property
    def changes(self) -> pd.DataFrame:
        """
        One row a change, the first look aside; columns: time, role, state.
        """
        table = pd.DataFrame(list(self._rows), columns=["time", "role", "state"])
        table["time"] = pd.to_datetime(table["time"], utc=True)
        return table

    def spare(self, role: str) -> None:
        """
        Do not ask there any more: a request to an instance that stops would hold up all others.
        """
        self._spared |= {role}

    def look_all_the_time(self) -> None:
        """
        Until it is over; what a thread does.
        """
        while not self._over.wait(_POLL_S):
            seen = self._look()
            now = datetime.now(UTC)  # when it was told, or not
            for role, state in seen.items():
                if role in self._last and self._last[role] != state:
                    self._rows.append((now, role, state))
                self._last[role] = state

    def stop(self) -> None:
        self._over.set()

    def _look(self) -> dict[str, str]:
        for client in (c for role, c in self._managers.items() if role not in self._spared):
            try:
                nodes = client.nodes.list()
            except (APIError, RequestException, SSHException, OSError, EOFError):
                continue  # it is down, or has no majority: the next one may answer
            found = [(self._roles.get(address(n.attrs), "?"), n.attrs) for n in nodes]
            led_by = [r for r, n in found if n.get("ManagerStatus", {}).get("Leader")]
            states = {role: str(node["Status"]["State"]) for role, node in found}
            return {SWARM: f"{LED_BY}{led_by[0]}" if led_by else NO_LEADER, **states}
        return {SWARM: NO_LEADER}


@contextmanager
def watching(
    managers: Mapping[str, fabric.Connection], instances: Mapping[str, Instance]
) -> Iterator[SwarmWatch]:
    """
    Look twice a second until the block ends.
    """
    watch = SwarmWatch(managers, instances)
    thread = threading.Thread(target=watch.look_all_the_time, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.stop()
        thread.join(2)  # one that waits for a dead instance ends by itself
