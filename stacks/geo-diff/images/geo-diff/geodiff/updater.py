"""
The updater: writes each result beside the RAW tiles, then acknowledges it.
"""

import asyncio
import logging
import operator
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from geodiff import png, serving, topology
from geodiff.audit import Audit
from geodiff.broker import Delivery, Link
from geodiff.dead_letters import bury
from geodiff.latency import Latencies
from geodiff.settings import UpdaterSettings, updater_settings
from geodiff.tiles import REJECTED, SURFACES, Tile, parse_tile, remove_strays, write_atomic

log = logging.getLogger(__name__)

MAX_RECORD_BYTES = 4096
# a file where a folder should be, or the reverse: waiting would not help
NO_PLACE = (NotADirectoryError, FileExistsError, IsADirectoryError)
FIRST_WAIT_S, MAX_WAIT_S = 1.0, 30.0
REPORT_S = 5.0


class BadResultError(ValueError):
    """
    The message is not a result that can be written; the message is the reason.
    """


def _read(delivery: Delivery) -> tuple[Tile, str, int | None]:
    """
    The tile, the layer, and the time of the RAW file that a rejection is about; ValueError if the
    content is not what they say.
    """
    tile, kind = parse_tile(delivery.message_id), delivery.headers.get("kind")
    if kind == "rejection":
        mtime_ns = int(delivery.headers["raw-mtime-ns"])
        if len(delivery.body) > MAX_RECORD_BYTES or not 0 <= mtime_ns < 2**63:
            raise ValueError(f"a record of {len(delivery.body)} bytes, for {mtime_ns} ns")
        return tile, REJECTED, mtime_ns
    surface = delivery.headers.get("filter")
    if kind != "surface" or surface not in SURFACES:
        raise ValueError(f"kind {kind!r}, filter {surface!r}"[:200])
    png.tile_pixels(delivery.body)
    return tile, surface, None


def store(root: Path, delivery: Delivery) -> bool:
    """
    Write the content of the message; return False if it is on disk already.
    """
    try:
        tile, layer, mtime_ns = _read(delivery)
        same = operator.eq if layer == REJECTED else png.same_picture
        written = write_atomic(tile.path(root, layer), delivery.body, mtime_ns, same)
    except (ValueError, KeyError, TypeError, OverflowError, *NO_PLACE) as exc:
        raise BadResultError(f"{exc.__class__.__name__}: {exc}") from exc
    if layer != REJECTED:
        tile.path(root, REJECTED).unlink(missing_ok=True)  # the RAW tile has been repaired
    return written


class Updater:
    """
    A few threads write files, so that the waits for the disk (fsync) overlap.
    """

    def __init__(self, settings: UpdaterSettings) -> None:
        self._settings = settings
        self._audit = Audit(settings.audit_dir)
        self._latencies = Latencies()
        self._disk = ThreadPoolExecutor(8, thread_name_prefix="disk")

    async def start(self, stop: asyncio.Event) -> None:
        async def session(link: Link) -> None:
            await serving.work_off(
                link, topology.RESULT_QUEUE, self._settings.prefetch, self._handle, stop
            )

        loop = asyncio.get_running_loop()
        removed = await loop.run_in_executor(self._disk, remove_strays, self._settings.tiles_dir)
        log.info("removed %d temporary files of a crash", removed)
        reporting = asyncio.ensure_future(self._report())
        try:
            await serving.serve(self._settings.broker, session, stop)
        finally:
            reporting.cancel()
            self._say_latencies()

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            self._say_latencies()

    def _say_latencies(self) -> None:
        if record := self._latencies.take():
            log.info(record)

    async def _store(self, delivery: Delivery) -> bool:
        """
        Store a result. While the disk is full, or S3 is away, it waits in hand: a quorum queue
        buries what was delivered twenty times.
        """
        loop, wait_s = asyncio.get_running_loop(), FIRST_WAIT_S
        while True:
            try:
                return await loop.run_in_executor(
                    self._disk, store, self._settings.tiles_dir, delivery
                )
            except OSError as exc:
                log.warning("%s: %s; next try in %.0f s", delivery.message_id, exc, wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, MAX_WAIT_S)

    async def _handle(self, link: Link, delivery: Delivery) -> None:
        try:
            is_new = await self._store(delivery)
        except BadResultError as exc:
            await bury(link, delivery, str(exc))
        else:
            # a result that was on disk already is a redelivery, counted the first time
            if is_new and delivery.headers.get("kind") == "surface":
                self._latencies.add(delivery.headers)
            self._audit.note(
                "stored",
                delivery.message_id,
                layer=delivery.headers.get("filter", REJECTED),
                is_new=is_new,
                worker=str(delivery.headers.get("task-id", ""))[:80],
                task_redelivered=bool(delivery.headers.get("task-redelivered", False)),
                result_redelivered=delivery.redelivered,
            )
        link.ack(delivery)


def prepare(environ: Mapping[str, str]) -> Callable[[asyncio.Event], Awaitable[None]]:
    return Updater(updater_settings(environ)).start
