"""
Carries messages from one broker to the one in use, while the services work.

A message is acknowledged at the source once the target has confirmed it. If this is killed, every
message is at one of the two brokers (the last few perhaps at both): start it again.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from geodiff import serving, topology
from geodiff.broker import Delivery, Link
from geodiff.environment import Reader
from geodiff.settings import BrokerSettings, broker_settings

log = logging.getLogger(__name__)

# signs of life and orders to the dealer are out of date by then
QUEUES = (topology.DEAD_LETTER_QUEUE, topology.RESULT_QUEUE, topology.TASK_QUEUE)
WINDOW = 32
LOOK_S = 0.2


class Carrier:
    """
    Counts the messages of each queue in `carried`.
    """

    def __init__(self, source: BrokerSettings, target: BrokerSettings) -> None:
        self._source = source
        self._target = target
        self.carried = dict.fromkeys(QUEUES, 0)

    async def start(self, stop: asyncio.Event) -> None:
        await serving.serve(self._target, self._session, stop)
        log.info(json.dumps({"record": "carried", **self.carried}))

    async def _session(self, target: Link) -> None:
        source = await Link.open(self._source)
        try:
            for queue in QUEUES:
                await self._carry(source, target, queue)
        finally:
            await source.close()

    async def _carry(self, source: Link, target: Link, queue: str) -> None:
        done = asyncio.Event()

        async def hand_over(link: Link, delivery: Delivery) -> None:
            await target.publish(
                queue, delivery.body, message_id=delivery.message_id, headers=delivery.headers
            )
            link.ack(delivery)
            self.carried[queue] += 1

        async def look() -> None:
            while await source.ready(queue):
                await asyncio.sleep(LOOK_S)
            done.set()  # unacknowledged messages are still carried over

        await serving.work_off(source, queue, WINDOW, hand_over, done, look())


def prepare(environ: Mapping[str, str]) -> Callable[[asyncio.Event], Awaitable[None]]:
    read = Reader(environ)
    target = broker_settings(read, "updater")  # in whose container it runs
    source = replace(target, host=read.text("CARRY_FROM", pattern=r"[A-Za-z0-9.-]+"))
    if source.host == target.host:
        read.problems.append(f"CARRY_FROM={source.host!r} must not be AMQP_HOST")
    return read.done(Carrier(source, target)).start
