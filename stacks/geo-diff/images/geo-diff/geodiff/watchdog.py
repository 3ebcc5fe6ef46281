"""
Which workers have been silent for too long (G19), from their signs of life alone.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass
class SignsOfLife:
    """
    Times are seconds of one clock, the caller's.

    Without a connection to the broker no sign arrives: `listening_since` is when it was made, and
    silence counts from then at the earliest.
    """

    listening_since: float
    last_seen: dict[str, float] = field(default_factory=dict)

    def heard(self, task_id: str, now: float) -> None:
        self.last_seen[task_id] = now

    def forget_all_but(self, task_ids: Collection[str]) -> None:
        self.last_seen = {k: v for k, v in self.last_seen.items() if k in task_ids}

    def silent(
        self, started: Mapping[str, float], now: float, max_timeout_s: float
    ) -> dict[str, float]:
        """
        Return the running tasks whose last sign of life, or else start, is too long ago, with the
        seconds of their silence.
        """
        silence = {
            task_id: now - max(self.last_seen.get(task_id, began), self.listening_since, began)
            for task_id, began in started.items()
        }
        return {task_id: s for task_id, s in silence.items() if s > max_timeout_s}
