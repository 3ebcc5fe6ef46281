"""
The rate at which tasks are published, from RabbitMQ's own counter.
"""

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass

from geodiff.settings import BrokerSettings


@dataclass(frozen=True)
class Count:
    """
    Tasks published since the broker started, and those that wait or are in hand, at a time.
    """

    published: int
    messages: int
    at_s: float


def read_count(settings: BrokerSettings, queue: str, now_s: float) -> Count:
    """
    Ask the management API; OSError if it does not answer.
    """
    vhost = urllib.parse.quote(settings.virtual_host, safe="")
    url = f"http://{settings.host}:{settings.management_port}/api/queues/{vhost}/{queue}"
    token = base64.b64encode(f"{settings.user}:{settings.password}".encode()).decode()
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {token}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=5) as answer:
        found = json.loads(answer.read())
    return Count(found.get("message_stats", {}).get("publish", 0), found.get("messages", 0), now_s)


def rate_per_s(before: Count | None, after: Count) -> float:
    """
    Return the tasks published a second between two counts; a broker that restarted counts anew.
    """
    if before is None or after.at_s <= before.at_s or after.published < before.published:
        return 0.0
    return (after.published - before.published) / (after.at_s - before.at_s)
