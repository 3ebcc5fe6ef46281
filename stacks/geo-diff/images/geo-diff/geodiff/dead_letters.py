"""
Messages that can never be processed go to a queue of their own, with the reason in a header; and
the count of deliveries, by which one is recognized that ends its reader instead.
"""

import logging
from collections.abc import Mapping

from geodiff import topology
from geodiff.broker import Delivery, Link

log = logging.getLogger(__name__)

MAX_REASON = 300


async def bury(link: Link, delivery: Delivery, reason: str, task_id: str = "") -> None:
    """
    Publish the delivery to DEAD_LETTER_QUEUE; `task_id` is the worker that gave up on it.
    """
    log.warning("%.80r: %s", delivery.message_id, reason)
    giver = {"task-id": task_id} if task_id else {}
    why = {"reason": reason[:MAX_REASON], **giver}
    await _publish_again(link, delivery, topology.DEAD_LETTER_QUEUE, why)


async def count(link: Link, delivery: Delivery, queue: str) -> None:
    """
    Put a redelivered message at the end of its queue, with one more failed delivery in its header.

    The broker counts for quorum queues only. And at the end, the good messages come first.
    """
    await _publish_again(link, delivery, queue, {topology.FAILED: delivery.failed + 1})
    link.ack(delivery)


async def _publish_again(
    link: Link, delivery: Delivery, queue: str, headers: Mapping[str, object]
) -> None:
    """
    Publish a copy. Only usual headers are copied: others may not fit into a frame beside the new
    ones, and the broker would close the connection again and again.
    """
    kept = {
        name: value
        for name, value in list(delivery.headers.items())[:20]
        if isinstance(name, str) and isinstance(value, str | int) and len(str(value)) <= MAX_REASON
    }
    await link.publish(
        "",
        queue,
        delivery.body,
        message_id=delivery.message_id[:255],
        headers={**kept, **headers},
    )
