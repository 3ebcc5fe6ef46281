"""
The queues, polled in a thread at a fixed rate while a load is recorded.
"""

import threading
import time
from datetime import UTC, datetime

from runbook_lib.core.errors import CommandError
from runbook_lib.geodiff.management_api import ManagementApi
from runbook_lib.load.experiment.node_stream import Sink


class QueueWatch:
    """
    Rows of the table `queues` for a sink.
    """

    def __init__(self, api: ManagementApi, *, period_s: float, sink: Sink) -> None:
        self.polls = self.skipped = self.lost = 0
        self.done: list[tuple[float, int]] = []
        """Epoch seconds and tasks acknowledged so far, a pair for each poll."""
        self.trouble = ""
        self._api, self._period_s, self._sink = api, period_s, sink
        self._stop = threading.Event()
        self._poll()
        self._thread = threading.Thread(target=self._watch, name="queues", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """
        End the thread, after its last poll.
        """
        self._stop.set()
        self._thread.join(15)

    def _watch(self) -> None:
        began, number = time.monotonic(), 1
        while not self._stop.wait(max(0.0, began + number * self._period_s - time.monotonic())):
            try:
                self._poll()
            except CommandError as error:
                self.lost += 1
                self.trouble = str(error)
            due = int((time.monotonic() - began) / self._period_s)
            self.skipped += max(0, due - number)
            number = max(number, due) + 1

    def _poll(self) -> None:
        queues = self._api.queues()
        now = time.time()
        for q in queues:
            counters = (q.published, q.delivered, q.acknowledged)
            row = (q.name, q.ready, q.unacknowledged, *counters, q.consumers)
            self._sink("queues", (datetime.fromtimestamp(now, UTC), *row))
            if q.name == "TASK_QUEUE":
                self.done.append((now, q.acknowledged))
        self.polls += 1
