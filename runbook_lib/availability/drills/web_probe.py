"""
The map and its tiles asked for twice a second, as a user's browser would, while something fails.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus

import pandas as pd

from runbook_lib.geodiff.web import Addresses, Token
from runbook_lib.geodiff.web_client import fetch

PAGE, TILES = "page", "tiles"
_PERIOD_S = 0.5
_TIMEOUT_S = 3.0


class WebProbe:
    """
    Two doors, a thread each: one that does not answer must not hold up the other.

    `urls` may be changed meanwhile: an instance that was stopped has another address on AWS.
    """

    def __init__(self, where: Addresses, tile: str, token: Token) -> None:
        self._tile = tile
        self._headers: dict[str, Mapping[str, str]] = {PAGE: {}, TILES: token.header}
        self._rows: list[tuple[datetime, str, bool, str]] = []
        self._over = threading.Event()
        self.urls: dict[str, str] = {}
        self.move(where)

    def move(self, where: Addresses) -> None:
        """
        From now on, ask there.
        """
        self.urls = {PAGE: f"{where.page}/", TILES: f"{where.tiles}/{self._tile}"}

    @property
    def answers(self) -> pd.DataFrame:
        """
        One row a request; columns: time (when it was sent), door, ok, seen.
        """
        table = pd.DataFrame(list(self._rows), columns=["time", "door", "ok", "seen"])
        table["time"] = pd.to_datetime(table["time"], utc=True)
        return table.astype({"ok": bool}).sort_values("time", ignore_index=True)

    def ask_all_the_time(self, door: str) -> None:
        """
        Until it is over; what a thread does.
        """
        while not self._over.is_set():
            began, sent = time.monotonic(), datetime.now(UTC)
            answer = fetch(self.urls[door], self._headers[door], timeout_s=_TIMEOUT_S)
            self._rows.append((sent, door, answer.status == HTTPStatus.OK, answer.kind))
            self._over.wait(max(0.0, began + _PERIOD_S - time.monotonic()))

    def stop(self) -> None:
        """
        Let the threads come to their end.
        """
        self._over.set()


@contextmanager
def asking(where: Addresses, tile: str, token: Token) -> Iterator[WebProbe]:
    """
    Ask until the block ends.
    """
    probe = WebProbe(where, tile, token)
    threads = [
        threading.Thread(target=probe.ask_all_the_time, args=(door,), daemon=True)
        for door in probe.urls
    ]
    for thread in threads:
        thread.start()
    try:
        yield probe
    finally:
        probe.stop()
        for thread in threads:
            thread.join(_TIMEOUT_S + 1)
