"""
The board's data in Valkey; all times are by the store's clock, so those of the nodes do not matter.
"""

import json
from dataclasses import astuple
from pathlib import Path

import redis

from board.page import Notice

SECRET = Path("/run/secrets/notice_board_password")
UNAVAILABLE = (redis.ConnectionError, redis.TimeoutError)


class Store:
    def __init__(self) -> None:
        self._redis = redis.Redis(
            host="store",
            password=SECRET.read_text(encoding="utf-8").strip(),
            decode_responses=True,
            socket_timeout=3,
            socket_connect_timeout=3,
        )

    def now(self) -> float:
        seconds, microseconds = self._redis.time()
        return float(seconds + microseconds / 1e6)

    def beat(self, node: str) -> None:
        self._redis.hset("beats", node, str(self.now()))

    def beats(self) -> dict[str, float]:
        return {node: float(time) for node, time in self._redis.hgetall("beats").items()}

    def replace_notices(self, notices: list[Notice]) -> None:
        self._redis.set("notices", json.dumps([astuple(notice) for notice in notices]))

    def notices(self) -> list[Notice]:
        return [Notice(*notice) for notice in json.loads(self._redis.get("notices") or "[]")]

    def views(self, more: int = 0) -> int:
        return int(self._redis.incrby("views", more))
