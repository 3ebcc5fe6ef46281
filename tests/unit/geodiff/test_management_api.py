"""
Answers of RabbitMQ's management API, over real HTTP: queues, or an error in three parts.
"""

import json
import math
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from runbook_lib.core.errors import CommandError
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.geodiff.management_api import ManagementApi
from runbook_lib.load.experiment.recorder import QueueWatch

QUEUE = {"name": "TASK_QUEUE", "messages_ready": 7, "messages_unacknowledged": 2, "consumers": 4}
COUNTED = {"publish": 900, "deliver_get": 893, "ack": 891}
PAGE = "<html><body>502 Bad Gateway</body></html>"


@pytest.fixture
def broker():
    """An HTTP server on loopback that gives the next of its answers, the last one for ever."""
    answers = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            body = (answers.pop(0) if len(answers) > 1 else answers[0]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        transport = SimpleNamespace(
            open_channel=lambda *_, **__: socket.create_connection(server.server_address)
        )
        api = ManagementApi(SimpleNamespace(transport=transport), "secret")
        yield answers, api
        api.close()
        server.shutdown()


@pytest.mark.parametrize(
    ("stats", "published"),
    [
        ({"message_stats": COUNTED}, 900),
        ({}, 0),
        ({"message_stats": {}}, 0),
        ({"message_stats": []}, math.nan),
        ({"message_stats": None}, math.nan),
        ({"message_stats": {"publish": -1}}, math.nan),
        ({"message_stats": {"publish": "many"}}, math.nan),
        ({"message_stats": {"publish": True}}, math.nan),
        ({"message_stats": {"publish": 10**400}}, math.nan),
    ],
)
@pytest.mark.parametrize("paged", [False, True])
def test_a_queue_is_read_and_what_is_unknown_is_nan(broker, stats, published, paged):
    """A queue that was never used has no counters: they are zero."""
    answers, api = broker
    entries = [QUEUE | stats]
    answers.append(json.dumps({"items": entries, "page": 1} if paged else entries))
    (queue,) = api.queues()
    assert (7, 2, 4, 9) == (queue.ready, queue.unacknowledged, queue.consumers, queue.messages)
    assert published == pytest.approx(queue.published, nan_ok=True)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (PAGE, "502 Bad Gateway"),
        ("", "null"),
        ('{"error": "not_found"}', "not_found"),
        ('["items", "page"]', "an entry"),
        ("[" * 100_000, "it begins"),
        (json.dumps({"items": [QUEUE], "page": 1, "page_count": 3, "total_count": 250}), "of 250"),
        (json.dumps([QUEUE | {"name": "x" * 300}]), "an entry"),
    ],
)
def test_an_answer_that_is_something_else_is_refused(broker, body, words):
    answers, api = broker
    answers.append(body)
    with pytest.raises(CommandError, match=words) as caught:
        api.queues()
    assert "expected queues from RabbitMQ's management API" in str(caught.value)
    assert "\n  next: " in str(caught.value)
    assert len(str(caught.value)) < 3000


@pytest.mark.parametrize("bad", [PAGE, "[7]", json.dumps([QUEUE | {"message_stats": None}])])
def test_the_watch_survives_every_answer_and_says_what_it_lost(broker, bad):
    """Four answers, the second bad: the others are recorded."""
    answers, api = broker
    good = json.dumps([QUEUE | {"message_stats": COUNTED}])
    answers += [good, bad, good]
    rows = []
    watch = QueueWatch(api, period_s=0.02, sink=lambda table, row: rows.append(row))
    wait_for("Polls", lambda: watch.polls >= 4 or Pending("few"), timeout_s=10, poll_s=0.02)
    watch.stop()
    lost = 0 if bad.startswith("[{") else 1
    assert (lost, bool(lost)) == (watch.lost, bool(watch.trouble))
    assert {891} == {count for _, count in watch.done}


def test_a_watch_whose_rows_cannot_be_kept_says_so(broker):
    """An error that nobody foresaw ends no thread in silence."""
    answers, api = broker
    answers.append(json.dumps([QUEUE]))
    seen = []

    def sink(table, row):
        seen.append(row)
        if len(seen) > 1:
            raise OSError(28, "No space left on device")

    watch = QueueWatch(api, period_s=0.02, sink=sink)
    wait_for("Losses", lambda: watch.lost >= 2 or Pending("none"), timeout_s=10, poll_s=0.02)
    watch.stop()
    assert "No space left" in watch.trouble
