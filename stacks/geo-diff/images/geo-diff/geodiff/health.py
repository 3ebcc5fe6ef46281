"""
Signs of life for the container's health check: two files, of which only the age counts.

A check that starts Python every few seconds would cost more than some of the services.
"""

import asyncio
from pathlib import Path

READY = Path("/tmp/ready")  # noqa: S108 - the container's own tmpfs
ALIVE = Path("/tmp/alive")  # noqa: S108 - as above
BEAT_S = 5.0


def ready() -> None:
    """
    Record that the service has reached the broker once.
    """
    READY.touch()


async def beat() -> None:
    """
    Record every few seconds that the event loop is running.
    """
    while True:
        ALIVE.touch()
        await asyncio.sleep(BEAT_S)
