"""
`python3 -m board web|beat|notices`: serve the page, report this node, or load the notices and end.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from board import web
from board.page import parse_notices
from board.store import UNAVAILABLE, Store

ALIVE = Path("/tmp/beat")  # noqa: S108 - a tmpfs of the container, which its healthcheck reads
FILE = Path("/etc/board/notices.txt")


def beat(store: Store) -> None:
    node, period_s = os.environ["NODE"], float(os.environ["BEAT_S"])
    while True:
        if _answered(lambda: store.beat(node)):
            ALIVE.touch()
        time.sleep(period_s)


def load(store: Store) -> None:
    notices = parse_notices(FILE.read_text(encoding="utf-8"))
    while not _answered(lambda: store.replace_notices(notices)):
        time.sleep(1)
    print(f"{len(notices)} notices are on the board")


def _answered(call: Callable[[], None]) -> bool:
    try:
        call()
    except UNAVAILABLE as error:  # it starts, or moves to another node
        print(f"the store does not answer: {error}")
        return False
    return True


COMMANDS = {"web": web.serve, "beat": beat, "notices": load}

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # process 1 has no default handler
    COMMANDS[sys.argv[1]](Store())
