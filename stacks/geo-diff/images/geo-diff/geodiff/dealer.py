"""
The dealer: walks the RAW tiles that have no result yet and publishes one task for each of them.
"""

import asyncio
import itertools
import json
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress

from geodiff import serving, topology
from geodiff.audit import Audit
from geodiff.broker import Delivery, Link
from geodiff.latency import STAMP, now_ms
from geodiff.settings import DealerSettings, dealer_settings
from geodiff.tile_files import NoSuchTileError, opened
from geodiff.tiles import MAX_BYTES, RAW, Tile, pending

log = logging.getLogger(__name__)

WINDOW = 32
MAX_REMEMBERED = 100_000
IDLE_SHARE = 10


class Dealt:
    """
    The tiles dealt recently: none is dealt again before its lease has expired.

    Bounded, to bound memory: the oldest is forgotten first, and a tile dealt twice is only
    segmented twice.
    """

    def __init__(self, lease_s: float, limit: int = MAX_REMEMBERED) -> None:
        self._lease_s = lease_s
        self._limit = limit
        self._until: OrderedDict[Tile, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def add(self, tile: Tile, now: float) -> None:
        self._until.pop(tile, None)
        self._until[tile] = now + self._lease_s
        if len(self._until) > self._limit:
            self._until.popitem(last=False)

    def holds(self, tile: Tile, now: float) -> bool:
        while self._until:
            oldest, until = next(iter(self._until.items()))
            if until > now:
                break
            del self._until[oldest]
        return tile in self._until


class Dealer:
    """
    Deal BATCH tasks, wait WAIT seconds, and so on through the tree; walk again once the queues are
    empty.
    """

    def __init__(self, settings: DealerSettings) -> None:
        self._settings = settings
        self._audit = Audit(settings.audit_dir)
        self._batch = settings.batch
        self._dealt = Dealt(settings.lease_s)

    async def start(self, stop: asyncio.Event) -> None:
        async def session(link: Link) -> None:
            await link.consume(topology.CONTROL_QUEUE, 1, lambda order: self._obey(link, order))
            dealing = asyncio.ensure_future(self._deal(link))
            stopped = asyncio.ensure_future(stop.wait())
            try:
                await asyncio.wait({dealing, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if dealing.done():
                    await dealing
            finally:
                dealing.cancel()
                stopped.cancel()
                with suppress(asyncio.CancelledError):
                    await dealing

        await serving.serve(self._settings.broker, session, stop)

    def _obey(self, link: Link, order: Delivery) -> None:
        """
        Adopt the BATCH that the autoscaler sends, within this service's own bounds.
        """
        link.ack(order)
        try:
            wanted = int(json.loads(order.body)["batch"])
        except (ValueError, TypeError, KeyError) as exc:
            log.warning("unusable control message %r: %r", order.body[:80], exc)
            return
        batch = max(self._settings.min_batch, min(self._settings.batch, wanted))
        if batch != self._batch:
            log.info("batch %d -> %d", self._batch, batch)
            self._batch = batch

    async def _deal(self, link: Link) -> None:
        while True:
            began = time.monotonic()
            count = await self._walk(link)
            if count:
                log.info("dealt %d tiles in %.1f s", count, time.monotonic() - began)
            await self._drained(link)
            # spend at most a tenth of the time on walks that find nothing new
            walk_s = 0.0 if count else time.monotonic() - began
            await asyncio.sleep(max(self._settings.wait_s, walk_s * IDLE_SHARE, 0.1))

    async def _walk(self, link: Link) -> int:
        tiles = pending(self._settings.tiles_dir)
        count = 0
        while batch := await asyncio.to_thread(self._next_batch, tiles):
            await self._room(link, len(batch))
            for start in range(0, len(batch), WINDOW):
                window = batch[start : start + WINDOW]
                await asyncio.gather(*(self._publish(link, tile) for tile in window))
            count += len(batch)
            await asyncio.sleep(self._settings.wait_s)
        return count

    def _next_batch(self, tiles: Iterator[Tile]) -> list[Tile]:
        now = time.monotonic()
        fresh = (tile for tile in tiles if not self._dealt.holds(tile, now))
        return list(itertools.islice(fresh, self._batch))

    async def _publish(self, link: Link, tile: Tile) -> None:
        try:
            with opened(self._settings.tiles_dir, RAW, tile) as (file, status):
                body = os.read(file, MAX_BYTES + 1)  # a byte more than allowed: the worker rejects
        except (OSError, NoSuchTileError) as exc:
            log.warning("%s/%s cannot be read: %s", RAW, tile, exc)
            return
        await link.publish(
            topology.TASK_QUEUE,
            body,
            message_id=str(tile),
            headers={**tile.headers(), "raw-mtime-ns": status.st_mtime_ns, STAMP: now_ms()},
        )
        self._dealt.add(tile, time.monotonic())
        self._audit.note("published", tile)

    async def _room(self, link: Link, wanted: int) -> None:
        """
        Wait while the queue is so long that the broker's disk would fill.

        A full disk blocks all publishers, the workers too, and then everything stops.
        """
        limit = max(self._settings.max_queued, wanted)
        while await link.ready(topology.TASK_QUEUE) + wanted > limit:
            await asyncio.sleep(max(self._settings.wait_s, 0.5))

    async def _drained(self, link: Link) -> None:
        for queue in (topology.TASK_QUEUE, topology.RESULT_QUEUE):
            while await link.ready(queue):
                await asyncio.sleep(0.5)


def prepare(environ: Mapping[str, str]) -> Callable[[asyncio.Event], Awaitable[None]]:
    return Dealer(dealer_settings(environ)).start
