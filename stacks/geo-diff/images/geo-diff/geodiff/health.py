"""
Signs of life for the container's health check: two files whose age says it all.

A check that started Python every few seconds would cost more than some of the services do.
"""

import asyncio
from pathlib import Path

READY = Path("/tmp/ready")  # noqa: S108 - the container's own tmpfs
ALIVE = Path("/tmp/alive")  # noqa: S108 - as above
BEAT_S = 5.0


def ready() -> None:
    """
    Say that the service has reached the broker once.
    """
    READY.touch()


async def beat() -> None:
    """
    Say every few seconds that the event loop still turns.
    """
    while True:
        ALIVE.touch()
        await asyncio.sleep(BEAT_S)
