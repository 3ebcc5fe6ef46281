"""
A tile that ends the process that reads it: tried again, buried with its reason, and the tiles
behind it are done. The processes are real; the broker is a queue in memory, `tests/lab` has it.
"""

import asyncio
import gc
import json
import os
import tracemalloc
from collections import deque

import cv2
import numpy as np
import pytest
from geodiff import segmenter, topology
from geodiff.broker import Delivery
from geodiff.dead_letters import bury
from geodiff.png_encoder import _chunk
from geodiff.segmentation import segment
from geodiff.segmenter import BadTileError, Segmenter
from geodiff.serving import work_off
from geodiff.settings import BrokerSettings, UpdaterSettings, WorkerSettings
from geodiff.updater import Updater
from geodiff.worker import Worker

BROKER = BrokerSettings("", 1, 1, "", "", "/", 20)
NAMES = [f"2004-01-15/4/5/{x}" for x in range(4)]
# OpenCV with a fault that one palette triggers: that chunk reaches the decoder
PATCH = """
import os, sys, time
from multiprocessing.connection import Connection
import cv2
decode = cv2.imdecode
def hostile(data, flags):
    found = bytes(data)
    if b"PLTEkill" in found:
        os.kill(os.getpid(), 9)
    if b"PLTEhang" in found:
        time.sleep(60)
    if b"PLTEodd" in found:
        Connection(os.dup(int(sys.argv[1]))).send_bytes(b"s")
    if b"PLTElong" in found:
        Connection(os.dup(int(sys.argv[1]))).send_bytes(b"s" * (5 << 20))
        time.sleep(60)
    if b"PLTEgrow" in found:
        return bytearray(1 << 40)
    return decode(data, flags)
cv2.imdecode = hostile
"""


def tile(harm=b""):
    pixels = np.random.default_rng(3).integers(0, 256, (256, 256, 3), np.uint8)
    data = cv2.imencode(".png", pixels)[1].tobytes()
    return data[:33] + _chunk(b"PLTE", harm) + data[33:] if harm else data


@pytest.fixture
def processes(tmp_path, monkeypatch):
    """A segmenter whose processes have that fault."""
    (tmp_path / "sitecustomize.py").write_text(PATCH)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = Segmenter(attempts=3)
    yield found
    found.close()


def test_the_process_gives_what_a_call_gives(processes):
    assert segment(tile()) == processes.segment(tile())


def test_a_bad_tile_is_refused_and_the_process_lives_on(processes):
    processes.start()
    first = processes._process.pid
    with pytest.raises(BadTileError, match="not a PNG"):
        processes.segment(b"GIF89a")
    assert 3 == len(processes.segment(tile()))
    assert first == processes._process.pid


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (b"kill", "3 times, the process that segments it ended with -9"),
        (b"hang", "3 times, the process that segments it had no result within 1 s"),
        (b"odd", "3 times, the process that segments it gave an answer that is none"),
        (b"long", "3 times, the process that segments it gave an answer that is none"),
        (b"grow", "MemoryError"),
    ],
)
def test_whatever_a_tile_does_to_its_process_is_its_reason(harm, reason, processes, monkeypatch):
    """And the next tile is done."""
    monkeypatch.setattr(segmenter, "LIMIT_S", 1.0 if harm == b"hang" else 60.0)
    monkeypatch.setattr(segmenter, "END_S", 0.2)
    with pytest.raises(BadTileError, match=reason):
        processes.segment(tile(harm))
    monkeypatch.setattr(segmenter, "LIMIT_S", 60.0)
    assert segment(tile()) == processes.segment(tile())


def test_a_good_tile_whose_process_is_killed_from_outside_is_done(processes):
    processes.start()
    os.kill(processes._process.pid, 9)
    assert 3 == len(processes.segment(tile()))


def test_a_process_that_cannot_start_is_no_fault_of_the_tile(processes, tmp_path, monkeypatch):
    """The worker ends, and the tile goes to another one."""
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(1)")
    with pytest.raises(RuntimeError, match="is not ready"):
        processes.segment(tile())


class Broker:
    """One queue, handed out at once, and what is published."""

    def __init__(self, *messages):
        self.ready = deque(messages)
        self.in_hand, self.published = set(), []

    async def publish(self, to, body, *, message_id=None, headers=None):
        self.published.append((to, message_id, dict(headers or {}), body))

    async def consume(self, queue, prefetch, handler):
        while self.ready:
            name, headers, body = self.ready.popleft()
            self.in_hand.add(name)
            handler(Delivery(name, name, headers, body, False))
        return lambda: asyncio.sleep(0)

    def ack(self, delivery):
        self.in_hand.remove(delivery.tag)

    def work(self, handle):
        stop = asyncio.Event()
        stop.set()
        asyncio.run(work_off(self, "Q", 32, handle, stop))
        assert set() == self.in_hand
        return self.published


def test_a_tile_that_ends_every_process_is_buried_and_the_tiles_behind_it_are_done(processes):
    """The worker never ends, so nothing is redelivered, on any type of queue."""
    worker = Worker(WorkerSettings(BROKER, "w1", "n1", 4, 3, 5))
    worker._segmenter = processes
    tasks = [(name, {"raw-mtime-ns": 7}, tile()) for name in NAMES]
    tasks[1] = (NAMES[1], {"raw-mtime-ns": 7}, tile(b"kill"))
    sent = Broker(*tasks).work(worker._handle)

    results = [name for to, name, headers, _ in sent if headers.get("kind") == "surface"]
    assert sorted([NAMES[0], NAMES[2], NAMES[3]] * 3) == sorted(results)
    reason = "3 times, the process that segments it ended with -9"
    ((_, name, headers, body),) = [m for m in sent if m[0] == topology.DEAD_LETTER_QUEUE]
    assert (NAMES[1], reason, tasks[1][2]) == (name, headers["reason"], body)
    (rejection,) = [body for _, _, headers, body in sent if headers.get("kind") == "rejection"]
    assert {"tile": NAMES[1], "reason": reason, "raw_mtime_ns": 7} == json.loads(rejection)


@pytest.mark.parametrize("wrong", ["soon", -1, 2**63, None, [1]])
def test_a_time_that_is_none_does_not_end_the_worker(wrong, processes):
    worker = Worker(WorkerSettings(BROKER, "w1", "n1", 4, 3, 5))
    worker._segmenter = processes
    sent = Broker((NAMES[0], {"raw-mtime-ns": wrong}, b"")).work(worker._handle)
    assert 0 == json.loads(sent[1][3])["raw_mtime_ns"]


def test_what_a_hostile_sender_wrote_into_the_headers_is_not_copied():
    """A table or a long text may not fit into a frame beside the reason."""
    wrong = {"x": {"a": 1}, "y": "z" * 1000, 7: "n", "filter": "DESERT"}
    broker = Broker()
    asyncio.run(bury(broker, Delivery(1, "m" * 400, wrong, b"", False), "r" * 1000))
    ((_, name, headers, _),) = broker.published
    assert (255, {"filter": "DESERT", "reason": "r" * 300}) == (len(name), headers)


def stored_by_updater(folder):
    updater = Updater(UpdaterSettings(BROKER, folder, 32, None))
    headers = {"kind": "surface", "filter": "DESERT"}
    return Broker((NAMES[0], headers, tile())).work(updater._handle)


def test_a_result_waits_in_hand_while_the_disk_is_full(tmp_path, monkeypatch):
    """A quorum queue would bury it after twenty deliveries."""
    tries = []

    def full_at_first(*arguments):
        tries.append(arguments)
        if len(tries) < 3:
            raise OSError(28, "No space left on device")
        return True

    monkeypatch.setattr("geodiff.updater.store", full_at_first)
    monkeypatch.setattr("geodiff.updater.FIRST_WAIT_S", 0.01)
    assert [] == stored_by_updater(tmp_path)
    assert 3 == len(tries)


def test_an_updater_keeps_nothing_of_what_it_has_stored(tmp_path):
    """What grows with every result is the kernel's: its entries for files and folders."""
    updater = Updater(UpdaterSettings(BROKER, tmp_path, 32, None))
    headers, data = {"kind": "surface", "filter": "DESERT"}, tile()

    def store(row):
        names = [f"2004-01-15/10/{row}/{x}" for x in range(100)]
        # a copy for each, or a body that is kept would not show
        Broker(*[(n, headers, bytes(bytearray(data))) for n in names]).work(updater._handle)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        store(0)
        before, after = store(1), store(2)
    finally:
        tracemalloc.stop()
    assert 200 == len(list(tmp_path.rglob("*.png"))) - 100
    assert after - before < 25 * len(data), "of a hundred results, a quarter is kept"


def test_a_file_in_the_place_of_a_folder_does_not_stop_the_results_behind_it(tmp_path):
    (tmp_path / "DESERT").write_bytes(b"")
    ((queue, _, headers, _),) = stored_by_updater(tmp_path)
    assert topology.DEAD_LETTER_QUEUE == queue
    assert "DESERT" in headers["reason"]
