"""
Messages that can never be processed go to a queue of their own, with the reason in a header.
"""

import logging

from geodiff import topology
from geodiff.broker import Delivery, Link

log = logging.getLogger(__name__)

MAX_REASON = 300


async def bury(link: Link, delivery: Delivery, reason: str, task_id: str = "") -> None:
    """
    Publish the delivery to DEAD_LETTER_QUEUE; `task_id` is the worker that gave up on it.

    Only usual headers are copied: others may not fit into a frame beside the reason, and the broker
    would close the connection, again and again.
    """
    log.warning("%.80r: %s", delivery.message_id, reason)
    kept = {
        name: value
        for name, value in list(delivery.headers.items())[:20]
        if isinstance(name, str) and isinstance(value, str | int) and len(str(value)) <= MAX_REASON
    }
    giver = {"task-id": task_id} if task_id else {}
    await link.publish(
        topology.DEAD_LETTER_QUEUE,
        delivery.body,
        message_id=delivery.message_id[:255],
        headers={**kept, "reason": reason[:MAX_REASON], **giver},
    )
