"""
Messages that can never be processed go to a queue of their own, with the reason in a header.
"""

import logging

from geodiff import topology
from geodiff.broker import Delivery, Link

log = logging.getLogger(__name__)


async def bury(link: Link, delivery: Delivery, reason: str, task_id: str = "") -> None:
    """
    Publish the delivery to DEAD_LETTER_QUEUE; `task_id` is the worker that gave up on it.

    The name comes from the message, so it is shortened to what AMQP and a log line can take.
    """
    log.warning("%s: %s", delivery.message_id[:80], reason)
    giver = {"task-id": task_id} if task_id else {}
    await link.publish(
        "",
        topology.DEAD_LETTER_QUEUE,
        delivery.body,
        message_id=delivery.message_id[:255],
        headers={**delivery.headers, "reason": reason, **giver},
    )
