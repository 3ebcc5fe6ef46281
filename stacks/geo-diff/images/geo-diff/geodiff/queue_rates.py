"""
The rate at which tasks are published, from RabbitMQ's own counter.
"""

import base64
import json
import urllib.parse
import urllib.request
from collections import deque
from dataclasses import dataclass, field

from geodiff.settings import BrokerSettings

SAMPLED_S = 5.0
WINDOW_S = 10.0


def read_published(settings: BrokerSettings, queue: str) -> int:
    """
    Return how many messages were published to a queue since the broker started; OSError if the
    management API does not answer.
    """
    vhost = urllib.parse.quote(settings.virtual_host, safe="")
    url = f"http://{settings.host}:{settings.management_port}/api/queues/{vhost}/{queue}"
    token = base64.b64encode(f"{settings.user}:{settings.password}".encode()).decode()
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {token}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=5) as answer:
        queue_facts = json.loads(answer.read())
    return int(queue_facts.get("message_stats", {}).get("publish", 0))


@dataclass
class SlidingRate:
    """
    A rate over a sliding window. RabbitMQ samples its counters every five seconds, so a shorter
    window shows zero and then a spike, and the autoscaler would oscillate.
    """

    window_s: float = WINDOW_S
    _counts: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, count: int, now_s: float) -> float | None:
        """
        Add a count; return the rate a second, or None while there is too little data.
        """
        if self._counts and count < self._counts[-1][1]:
            self._counts.clear()  # the broker restarted, and its counter with it
        self._counts.append((now_s, count))
        while len(self._counts) > 2 and now_s - self._counts[1][0] >= self.window_s:
            self._counts.popleft()
        began_s, first = self._counts[0]
        span_s = now_s - began_s
        return (count - first) / span_s if span_s >= SAMPLED_S else None
