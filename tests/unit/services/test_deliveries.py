"""
A message that ends its reader: counted, put behind the others, tried once in a process of its own,
and buried with its reason. The broker is a queue in memory; `tests/lab` has the real one.
"""

import asyncio
import json
from collections import deque

import cv2
import numpy as np
import pytest
from geodiff import alone, serving, topology
from geodiff.broker import Delivery
from geodiff.segmentation import BadTileError, segment
from geodiff.settings import BrokerSettings, UpdaterSettings, WorkerSettings
from geodiff.updater import Updater
from geodiff.worker import Worker

BROKER = BrokerSettings("", 1, 1, "", "", "/", 20)
NAME = "2004-01-15/4/5/6"
PATCH = """
import os
import cv2
decode = cv2.imdecode
def hostile(data, flags):
    if bytes(data[-30:]).find(b"IEND") >= 0 and os.environ["HARM"] == "grow":
        return bytearray(1 << 40)
    if os.environ["HARM"] == "kill":
        os.kill(os.getpid(), 9)
    if os.environ["HARM"] == "hang":
        __import__("time").sleep(60)
    return decode(data, flags)
cv2.imdecode = hostile
"""


def tile():
    pixels = np.random.default_rng(3).integers(0, 256, (256, 256, 3), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


class Broker:
    """
    One consumer's queue, and what is published elsewhere. `die` is a reader that ends: what it had
    comes back, marked as redelivered.
    """

    def __init__(self, queue, messages):
        self.queue, self.ready = queue, deque(messages)
        self.in_hand, self.elsewhere, self.given = {}, [], 0

    async def publish(self, exchange, key, body, *, message_id=None, headers=None):
        message = (message_id, dict(headers or {}), body, False)
        to = exchange or key
        self.ready.append(message) if to == self.queue else self.elsewhere.append((to, message))

    async def consume(self, queue, prefetch, handler):
        while self.ready and len(self.in_hand) < prefetch:
            message = self.ready.popleft()
            self.given += 1
            self.in_hand[self.given] = message
            name, headers, body, redelivered = message
            handler(Delivery(self.given, name, headers, body, redelivered))
        return lambda: asyncio.sleep(0)

    def ack(self, delivery):
        del self.in_hand[delivery.tag]

    def die(self):
        back = [(*message[:3], True) for message in self.in_hand.values()]
        self.ready.extendleft(reversed(back))
        self.in_hand.clear()

    def work(self, handle, prefetch=1):
        """Hand out what is there, once, and wait for it."""
        stop = asyncio.Event()
        stop.set()
        asyncio.run(serving.work_off(self, self.queue, prefetch, handle, stop))


async def end(link, delivery):
    raise MemoryError(delivery.message_id)


def test_a_message_that_ends_its_reader_is_counted_and_goes_behind_the_others():
    broker = Broker("Q", [("bad", {"z": 4}, b"", False), ("good", {}, b"", False)])
    for expected in (1, 2, 3):
        with pytest.raises(MemoryError, match="bad"):
            broker.work(end)
        broker.die()
        broker.work(end)  # only counted: nobody reads it
        assert ["good", "bad"] == [message[0] for message in broker.ready]
        assert {"z": 4, topology.FAILED: expected} == broker.ready[-1][1]
        broker.ready.rotate()


def test_what_a_hostile_sender_wrote_into_the_headers_is_not_copied():
    """A table or a long text may not fit into the copy's frame; a count is a number."""
    wrong = {topology.FAILED: "many", "x": {"a": 1}, "y": "z" * 1000, "filter": "DESERT"}
    broker = Broker("Q", [("m", wrong, b"", True)])
    broker.work(end)
    assert {"filter": "DESERT", topology.FAILED: 1} == broker.ready[0][1]


@pytest.fixture
def harm(tmp_path, monkeypatch):
    """A decoder that kills, hangs or takes memory, in processes that are started from here."""
    (tmp_path / "sitecustomize.py").write_text(PATCH)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return lambda how: monkeypatch.setenv("HARM", how)


def test_a_process_of_its_own_gives_the_same_results():
    assert segment(tile()) == alone.segment_alone(tile())


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("kill", "that ended with -9"),
        ("grow", "ended with 1: MemoryError"),
        ("hang", "had no result within 3 s"),
    ],
)
def test_whatever_a_tile_does_to_its_process_is_the_reason(how, reason, harm, monkeypatch):
    monkeypatch.setattr(alone, "LIMIT_S", 3.0 if how == "hang" else 60.0)
    harm(how)
    with pytest.raises(BadTileError, match=reason):
        alone.segment_alone(tile())


def test_a_bad_tile_is_bad_alone_too():
    with pytest.raises(BadTileError, match="not a PNG"):
        alone.segment_alone(b"GIF89a")


def worker_on(failed):
    worker = Worker(WorkerSettings(BROKER, "w1", "n1", 4, 3, 5))
    headers = {"raw-mtime-ns": 7, topology.FAILED: failed}
    broker = Broker(topology.TASK_QUEUE, [(NAME, headers, tile(), False)])
    broker.work(worker._handle)
    assert ({}, deque()) == (broker.in_hand, broker.ready)
    return broker.elsewhere


def test_a_good_tile_that_was_with_dying_workers_gets_its_results_at_the_last_delivery():
    """It was only in the wrong hands: nothing is buried that can be done."""
    sent = worker_on(failed=2)
    assert [topology.RES_XCHG] * 3 == [to for to, _ in sent]
    assert {True} == {message[1]["task-redelivered"] for _, message in sent}


def test_a_tile_that_ends_every_worker_is_buried_and_rejected_with_its_reason(harm):
    harm("kill")
    (buried_in, buried), (sent_to, rejection) = worker_on(failed=2)
    assert (topology.DEAD_LETTER_QUEUE, topology.RES_XCHG) == (buried_in, sent_to)
    assert "that ended with -9" in buried[1]["reason"]
    record = json.loads(rejection[2])
    assert (NAME, 3, 7) == (record["tile"], record["delivery"], record["raw_mtime_ns"])
    assert buried[1]["reason"] == record["reason"]


def test_a_tile_that_takes_even_that_workers_with_it_is_buried_unread():
    (_, buried), _ = worker_on(failed=6)
    assert "6 deliveries ended without an answer" == buried[1]["reason"]


def updater_on(folder, failed):
    updater = Updater(UpdaterSettings(BROKER, folder, 32, 3, None))
    headers = {"kind": "surface", "filter": "DESERT", topology.FAILED: failed}
    broker = Broker(topology.RESULT_QUEUE, [(NAME, headers, tile(), False)])
    broker.work(updater._handle)
    assert {} == broker.in_hand
    return broker.elsewhere


def test_a_result_that_ends_every_updater_is_buried_and_its_tile_can_be_dealt_again(tmp_path):
    assert [] == updater_on(tmp_path, failed=2)
    assert (tmp_path / "DESERT" / f"{NAME}.png").exists()
    ((queue, message),) = updater_on(tmp_path / "other", failed=3)
    assert (topology.DEAD_LETTER_QUEUE, "3 deliveries ended without an answer") == (
        queue,
        message[1]["reason"],
    )


def test_a_result_waits_in_hand_while_the_disk_is_full(tmp_path, monkeypatch):
    """Its delivery does not end, so it does not count against the message."""
    tries = []

    def full_at_first(*arguments):
        tries.append(arguments)
        if len(tries) < 3:
            raise OSError(28, "No space left on device")
        return True

    monkeypatch.setattr("geodiff.updater.store", full_at_first)
    monkeypatch.setattr("geodiff.updater.FIRST_WAIT_S", 0.01)
    assert [] == updater_on(tmp_path, failed=0)
    assert 3 == len(tries)


def test_a_file_in_the_place_of_a_folder_does_not_stop_the_results_behind_it(tmp_path):
    (tmp_path / "DESERT").write_bytes(b"")
    ((queue, message),) = updater_on(tmp_path, failed=0)
    assert topology.DEAD_LETTER_QUEUE == queue
    assert "DESERT" in message[1]["reason"]
