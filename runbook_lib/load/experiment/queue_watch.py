"""
The queues, looked at in a thread at a fixed rate, for as long as a load is recorded.
"""

import threading
import time
from datetime import UTC, datetime

from runbook_lib.core.errors import CommandError
from runbook_lib.geodiff.management_api import ManagementApi, Queue
from runbook_lib.load.experiment.node_stream import Sink


class QueueWatch:
    """
    Rows of the table `queues` for a sink; `last` is what was seen last, by queue.
    """

    def __init__(self, api: ManagementApi, *, period_s: float, sink: Sink) -> None:
        self.looks = self.skipped = self.lost = 0
        self.last: dict[str, Queue] = {}
        self.done: list[tuple[float, int]] = []
        """Epoch seconds and tasks acknowledged so far, a pair for each look."""
        self.trouble = ""
        self._api, self._period_s, self._sink = api, period_s, sink
        self._stop = threading.Event()
        self._look()
        self._thread = threading.Thread(target=self._watch, name="queues", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """
        End the thread; the last look is over then.
        """
        self._stop.set()
        self._thread.join(15)

    def _watch(self) -> None:
        began, number = time.monotonic(), 1
        while not self._stop.wait(max(0.0, began + number * self._period_s - time.monotonic())):
            try:
                self._look()
            except CommandError as error:
                self.lost += 1
                self.trouble = str(error)
            due = int((time.monotonic() - began) / self._period_s)
            self.skipped += max(0, due - number)
            number = max(number, due) + 1

    def _look(self) -> None:
        queues = self._api.queues()
        now = time.time()
        for q in queues:
            counters = (q.published, q.delivered, q.acknowledged)
            row = (q.name, q.ready, q.unacknowledged, *counters, q.consumers)
            self._sink("queues", (datetime.fromtimestamp(now, UTC), *row))
        self.last = {q.name: q for q in queues}
        if "TASK_QUEUE" in self.last:
            self.done.append((now, self.last["TASK_QUEUE"].acknowledged))
        self.looks += 1
