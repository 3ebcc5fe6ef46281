"""
What can never be done goes to a queue of its own, as it came, with the reason in its headers.
"""

import logging

from geodiff import topology
from geodiff.broker import Delivery, Link

log = logging.getLogger(__name__)


async def bury(link: Link, delivery: Delivery, reason: str, task_id: str = "") -> None:
    """
    Publish the delivery to DEAD_LETTER_QUEUE; `task_id` tells which worker gave it up.

    The name comes from the message, so that it is shortened to what AMQP and a log line bear.
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
