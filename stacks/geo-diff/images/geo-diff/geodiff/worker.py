"""
The worker: takes a task, segments the tile, publishes three results, then acknowledges the task.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from geodiff import serving, topology
from geodiff.broker import Delivery, Link
from geodiff.dead_letters import MAX_REASON, bury
from geodiff.latency import passed_on
from geodiff.segmenter import BadTileError, Segmenter
from geodiff.settings import WorkerSettings, worker_settings
from geodiff.tiles import SHARE_KEYWORD, Tile, parse_tile


class Worker:
    """
    The event loop talks to the broker while one thread waits for the process that computes.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._segmenter = Segmenter(settings.max_attempts)
        self._compute = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._done = 0

    async def start(self, stop: asyncio.Event) -> None:
        async def session(link: Link) -> None:
            await serving.work_off(
                link,
                topology.TASK_QUEUE,
                self._settings.prefetch,
                self._handle,
                stop,
                self._keep_alive(link),
            )

        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._compute, self._segmenter.start)
        try:
            await serving.serve(self._settings.broker, session, stop)
        finally:
            await loop.run_in_executor(self._compute, self._segmenter.close)

    async def _handle(self, link: Link, delivery: Delivery) -> None:
        try:
            tile = parse_tile(delivery.message_id)
        except ValueError as exc:
            await bury(link, delivery, str(exc), self._settings.task_id)
            link.ack(delivery)
            return
        loop = asyncio.get_running_loop()
        try:
            surfaces = await loop.run_in_executor(
                self._compute, self._segmenter.segment, delivery.body
            )
        except BadTileError as exc:
            await self._reject(link, delivery, tile, str(exc))
        else:
            await asyncio.gather(
                *(
                    link.publish(
                        topology.RES_XCHG,
                        surface.png,
                        message_id=str(tile),
                        headers={
                            **tile.headers(),
                            **passed_on(delivery.headers),
                            "kind": "surface",
                            "filter": surface.name,
                            "task-id": self._settings.task_id,
                            "task-redelivered": delivery.redelivered,
                            SHARE_KEYWORD: f"{surface.share:.6f}",
                        },
                    )
                    for surface in surfaces
                )
            )
        link.ack(delivery)
        self._done += 1

    async def _reject(self, link: Link, delivery: Delivery, tile: Tile, reason: str) -> None:
        """
        Keep the tile as evidence, and have the updater record that it must not be dealt again.
        """
        raw_mtime_ns = delivery.number("raw-mtime-ns")
        record = {
            "tile": str(tile),
            "reason": reason[:MAX_REASON],
            "raw_mtime_ns": raw_mtime_ns,
        }
        await asyncio.gather(
            bury(link, delivery, reason, self._settings.task_id),
            link.publish(
                topology.RES_XCHG,
                json.dumps(record, indent=1).encode(),
                message_id=str(tile),
                headers={**tile.headers(), "kind": "rejection", "raw-mtime-ns": raw_mtime_ns},
            ),
        )

    async def _keep_alive(self, link: Link) -> None:
        """
        Publish a sign of life that has passed through the computing thread, so that a hang shows.
        """
        loop = asyncio.get_running_loop()
        while True:
            await loop.run_in_executor(self._compute, time.monotonic)
            sign = {
                "task_id": self._settings.task_id,
                "node": self._settings.node,
                "tiles_done": self._done,
                "time": datetime.now(UTC).isoformat(),
            }
            await link.publish(topology.KEEP_ALIVE_QUEUE, json.dumps(sign).encode())
            await asyncio.sleep(self._settings.keep_alive_s)


def prepare(environ: Mapping[str, str]) -> Callable[[asyncio.Event], Awaitable[None]]:
    return Worker(worker_settings(environ)).start
