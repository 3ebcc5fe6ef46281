"""
What services do with a link: keep one open until they are stopped, and work off a queue.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress

from pika.exceptions import AMQPError

from geodiff import health
from geodiff.broker import Delivery, Link
from geodiff.settings import BrokerSettings

log = logging.getLogger(__name__)

FIRST_BACKOFF_S, MAX_BACKOFF_S = 0.25, 2.0
LASTED_S = 10.0

Session = Callable[[Link], Coroutine[None, None, None]]
Handler = Callable[[Link, Delivery], Coroutine[None, None, None]]


async def serve(settings: BrokerSettings, session: Session, stop: asyncio.Event) -> None:
    """
    Run `session` on an open link, on a new one each time the link or the session fails, until
    `stop` is set. A session that returns is over.
    """
    backoff = FIRST_BACKOFF_S
    while not stop.is_set():
        link: Link | None = None
        began = time.monotonic()
        try:
            link = await Link.open(settings)
            log.info("connected to %s:%d", settings.host, settings.port)
            health.ready()
            await _until_lost(link, session)
        except (OSError, AMQPError) as exc:
            if time.monotonic() - began > LASTED_S:
                backoff = FIRST_BACKOFF_S
            log.warning("broker: %s; next try in %.2f s", exc, backoff)
        else:
            return
        finally:
            if link is not None:
                await link.close()
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), backoff)
        backoff = min(backoff * 2, MAX_BACKOFF_S)


async def _until_lost(link: Link, session: Session) -> None:
    work = asyncio.ensure_future(session(link))
    await asyncio.wait({work, link.lost}, return_when=asyncio.FIRST_COMPLETED)
    if not work.done():
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        await link.lost
    await work


async def work_off(
    link: Link,
    queue: str,
    prefetch: int,
    handle: Handler,
    stop: asyncio.Event,
    *background: Coroutine[None, None, None],
) -> None:
    """
    Run `handle` on each delivery, `prefetch` of them at a time, with `background` beside it.

    The first exception of any of them ends the session. On `stop` it takes no more and finishes the
    unacknowledged ones, so that a graceful end causes no redelivery.
    """
    in_hand: set[asyncio.Task[None]] = set()
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def finished(task: asyncio.Task[None]) -> None:
        in_hand.discard(task)
        if not task.cancelled() and not failed.done() and (error := task.exception()):
            failed.set_exception(error)

    def take(delivery: Delivery) -> None:
        task = asyncio.ensure_future(handle(link, delivery))
        in_hand.add(task)
        task.add_done_callback(finished)

    beside = [asyncio.ensure_future(awaitable) for awaitable in background]
    for task in beside:
        task.add_done_callback(finished)
    stopped = asyncio.ensure_future(stop.wait())
    try:
        cancel = await link.consume(queue, prefetch, take)
        await asyncio.wait((stopped, failed), return_when=asyncio.FIRST_COMPLETED)
        if not failed.done():
            await cancel()
        while in_hand and not failed.done():
            await asyncio.wait((failed, *in_hand), return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            await failed
    finally:
        for task in (*in_hand, *beside):
            task.cancel()
        stopped.cancel()
        failed.cancel()
