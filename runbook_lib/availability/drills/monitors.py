"""
Monitors of the Swarm and the web during a fault, polled twice a second.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus

import fabric
import pandas as pd
from docker.errors import APIError
from paramiko import SSHException
from requests import RequestException

from runbook_lib.availability.drills.times import Clock, by_time
from runbook_lib.cloud.instances import Instance
from runbook_lib.geodiff.browser import fetch
from runbook_lib.geodiff.web import Addresses, Token
from runbook_lib.hosts.docker_ssh import docker_client
from runbook_lib.swarm.nodes import address

SWARM = "the Swarm"
NO_LEADER, LED_BY = "no leader", "led by "
PAGE, TILES = "page", "tiles"
_PERIOD_S = 0.5
_SWARM_TIMEOUT_S = 5
"""Timeout of a request: a leader without its peers does not respond until they give up."""
_WEB_TIMEOUT_S = 3.0


class SwarmMonitor:
    """
    A recorder of changes of nodes' states and of the leader; none if no manager responds in time.
    """

    def __init__(
        self,
        managers: Mapping[str, fabric.Connection],
        instances: Mapping[str, Instance],
        now: Clock,
    ) -> None:
        self._now = now
        self._managers = {role: docker_client(c, _SWARM_TIMEOUT_S) for role, c in managers.items()}
        self._roles = {i.private_ip: role for role, i in instances.items()}
        self._skipped: frozenset[str] = frozenset()
        self._last: dict[str, str] = {}
        self._rows: list[tuple[datetime, str, str]] = []

    @property
    def changes(self) -> pd.DataFrame:
        """
        Return one row per change after the first poll; columns: time, role, state.
        """
        return by_time(self._rows, ["time", "role", "state"])

    def skip(self, role: str) -> None:
        """
        Stop polling a manager: a request to a stopping instance would delay all others.
        """
        self._skipped |= {role}

    def poll_until(self, over: threading.Event) -> None:
        while not over.wait(_PERIOD_S):
            states = self._poll()
            now = self._now()  # time of the response, or of the timeout
            for role, state in states.items():
                if role in self._last and self._last[role] != state:
                    self._rows.append((now, role, state))
                self._last[role] = state

    def _poll(self) -> dict[str, str]:
        for client in (c for role, c in self._managers.items() if role not in self._skipped):
            try:
                nodes = client.nodes.list()
            except (APIError, RequestException, SSHException, OSError, EOFError):
                continue  # down, or without a majority: the next one may respond
            by_role = [(self._roles.get(address(n.attrs), "?"), n.attrs) for n in nodes]
            leaders = [r for r, n in by_role if n.get("ManagerStatus", {}).get("Leader")]
            states = {role: str(node["Status"]["State"]) for role, node in by_role}
            return {SWARM: f"{LED_BY}{leaders[0]}" if leaders else NO_LEADER, **states}
        return {SWARM: NO_LEADER}


class WebMonitor:
    """
    Requests for the page and a tile, like a browser's, in one thread each, so that one without a
    response does not delay the other.
    """

    def __init__(self, where: Addresses, tile: str, token: Token, now: Clock) -> None:
        self._tile, self._now = tile, now
        self._headers: dict[str, Mapping[str, str]] = {PAGE: {}, TILES: token.header}
        self._rows: list[tuple[datetime, str, bool, str]] = []
        self._urls: dict[str, str] = {}
        self.move(where)

    def move(self, where: Addresses) -> None:
        """
        Change the addresses of later requests: on AWS an instance has a new address after a stop.
        """
        self._urls = {PAGE: f"{where.page}/", TILES: f"{where.tiles}/{self._tile}"}
        self._pin = where.pin

    @property
    def answers(self) -> pd.DataFrame:
        """
        Return one row per request; columns: time (sent), door (page or tiles), ok, answer.
        """
        return by_time(self._rows, ["time", "door", "ok", "answer"]).astype({"ok": bool})

    def poll_until(self, over: threading.Event, door: str) -> None:
        while not over.is_set():
            began, sent = time.monotonic(), self._now()
            answer = fetch(
                self._urls[door], self._headers[door], timeout_s=_WEB_TIMEOUT_S, pin=self._pin
            )
            self._rows.append((sent, door, answer.status == HTTPStatus.OK, answer.kind))
            over.wait(max(0.0, began + _PERIOD_S - time.monotonic()))


@contextmanager
def polling(swarm: SwarmMonitor, web: WebMonitor) -> Iterator[None]:
    over = threading.Event()
    doors = [threading.Thread(target=web.poll_until, args=(over, d)) for d in (PAGE, TILES)]
    threads = [threading.Thread(target=swarm.poll_until, args=(over,)), *doors]
    for thread in threads:
        thread.daemon = True
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(_WEB_TIMEOUT_S + 1)  # a request to a dead instance ends by itself
