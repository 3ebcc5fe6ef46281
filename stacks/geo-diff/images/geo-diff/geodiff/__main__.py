"""
`python -m geodiff SERVICE`: run one of the services until SIGTERM.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module

from geodiff import health
from geodiff.environment import SettingsError

SERVICES = {
    "dealer": "geodiff.dealer",
    "worker": "geodiff.worker",
    "updater": "geodiff.updater",
    "admin-worker": "geodiff.admin_worker",
    "scaler": "geodiff.scaler",
    "reaper": "geodiff.reaper",
    "carry": "geodiff.carry",  # ends when everything is carried over
}
SERVERS = {"tile-server": "geodiff.tile_server"}  # with a main loop of their own
EX_USAGE, EX_CONFIG = 64, 78


async def _run(start: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    beating = asyncio.ensure_future(health.beat())
    try:
        await start(stop)
    finally:
        beating.cancel()


def main() -> int:
    arguments, known = sys.argv[1:], SERVICES | SERVERS
    if len(arguments) != 1 or arguments[0] not in known:
        print(f"expected one of {', '.join(known)}; got {arguments}", file=sys.stderr)
        return EX_USAGE
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # this package logs the same, shorter
    # each service imports only what it needs: OpenCV is 50 MB that only the worker pays for
    service = import_module(known[arguments[0]])
    try:
        start = service.prepare(os.environ)
    except SettingsError as exc:
        print(exc, file=sys.stderr)
        return EX_CONFIG
    if arguments[0] in SERVERS:
        start()
    else:
        asyncio.run(_run(start))
    logging.info("%s stopped", arguments[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
