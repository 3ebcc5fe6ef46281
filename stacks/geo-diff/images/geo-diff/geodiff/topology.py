"""
Exchanges and queues, declared in one place, by every service before anything else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

TASK_QUEUE = "TASK_QUEUE"
RESULT_QUEUE = "RESULT_QUEUE"
RES_XCHG = "RES_XCHG"
KEEP_ALIVE_QUEUE = "KEEP_ALIVE_QUEUE"
DEAD_LETTER_QUEUE = "DEAD_LETTER_QUEUE"
CONTROL_QUEUE = "CONTROL_QUEUE"

FAILED = "failed-deliveries"  # the header with the count of them


@dataclass(frozen=True)
class Queue:
    name: str
    arguments: Mapping[str, object] = field(default_factory=dict)


QUEUES = (
    Queue(TASK_QUEUE),
    Queue(RESULT_QUEUE),
    # an old sign of life is worth nothing
    Queue(KEEP_ALIVE_QUEUE, {"x-message-ttl": 10_000}),
    # evidence, not work: the RAW file stays on disk, so the oldest may be dropped
    Queue(DEAD_LETTER_QUEUE, {"x-max-length": 10_000}),
    # only the last order counts
    Queue(CONTROL_QUEUE, {"x-max-length": 1, "x-message-ttl": 60_000}),
)
