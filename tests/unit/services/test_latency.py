"""
From the dealer's stamp to the updater's record, with the services' own code; the broker is a list.
"""

import asyncio
import json
import logging
import math

import cv2
import numpy as np
import pytest
from geodiff import latency
from geodiff.broker import Delivery
from geodiff.dealer import Dealer
from geodiff.latency import GROWTH, MAX_MS, STAMP, Latencies, passed_on
from geodiff.settings import BrokerSettings, DealerSettings, UpdaterSettings, WorkerSettings
from geodiff.tiles import SURFACES, Tile
from geodiff.updater import Updater
from geodiff.worker import Worker
from hypothesis import given
from hypothesis import strategies as st
from pika.data import decode_table, encode_table

NOW = 1_700_000_000_000
TILE = Tile("2004-01-15", 4, 5, 6)


def taken(*headers, now_ms=NOW):
    latencies = Latencies(lambda: now_ms)
    for each in headers:
        latencies.add(each)
    return json.loads(latencies.take())


@given(st.integers(1, MAX_MS))
def test_a_latency_is_in_a_bucket_that_holds_it_to_five_percent(waited_ms):
    [[bucket, count]] = taken({STAMP: NOW - waited_ms})["buckets"]
    assert 1 == count
    assert 0 <= bucket < 376
    assert GROWTH**bucket <= waited_ms * 1.0001
    assert waited_ms <= GROWTH ** (bucket + 1) * 1.0001


@pytest.mark.parametrize(
    "stamp",
    [NOW + 1, NOW - MAX_MS - 1, -1, 0, 2**63, True, "1700000000000", None, math.nan, [1], {"a": 1}],
)
def test_a_stamp_that_cannot_be_is_counted_apart(stamp):
    record = taken({STAMP: stamp})
    assert ([], 0, 1) == (record["buckets"], record["unstamped"], record["absurd"])


def test_a_result_of_an_old_worker_is_counted_as_unstamped():
    record = taken({}, {STAMP: NOW - 10})
    assert (1, 1, 0) == (len(record["buckets"]), record["unstamped"], record["absurd"])


def test_a_period_is_told_once_and_an_idle_one_not_at_all():
    latencies = Latencies(lambda: NOW)
    latencies.add({STAMP: NOW})
    assert [[0, 1]] == json.loads(latencies.take())["buckets"]
    assert latencies.take() is None


def test_a_hundred_thousand_results_are_one_short_record():
    latencies = Latencies(lambda: NOW)
    for waited_ms in range(0, MAX_MS, MAX_MS // 100_000):
        latencies.add({STAMP: NOW - waited_ms})
    assert len(latencies.take()) < 6000


def test_a_task_without_a_stamp_gives_results_without_one():
    assert {} == passed_on({"raw-mtime-ns": 1})
    assert {STAMP: NOW} == passed_on({STAMP: NOW})


BROKER = BrokerSettings("", 1, 1, "", "", "/", 20)


class Link:
    """Takes what a service publishes and acknowledges; its headers are as pika delivers them."""

    def __init__(self):
        self.published = []

    async def publish(self, to, body, *, message_id=None, headers=None):
        encoded: list[bytes] = []
        encode_table(encoded, headers or {})
        received, _ = decode_table(b"".join(encoded), 0)
        self.published.append((message_id, received, body))

    def ack(self, delivery):
        pass


def through(handle, messages):
    """What a service publishes for these messages."""
    link = Link()

    async def work():
        for tag, (name, headers, body) in enumerate(messages):
            await handle(link, Delivery(tag, name, headers, body, False))

    asyncio.run(work())
    return link.published


@pytest.fixture
def root(tmp_path):
    raw = TILE.path(tmp_path, "RAW")
    raw.parent.mkdir(parents=True)
    picture = np.random.default_rng(1).integers(0, 255, (256, 256, 3), np.uint8)
    raw.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
    return tmp_path


def dealt(root):
    link = Link()
    dealer = Dealer(DealerSettings(BROKER, root, 10, 10, 0, 60, 10, None))
    asyncio.run(dealer._publish(link, TILE))
    return link.published


def worked(tasks):
    worker = Worker(WorkerSettings(BROKER, "w1", "n1", 4, 3, 5))
    try:
        return through(worker._handle, tasks)
    finally:
        worker._segmenter.close()


def told(caplog):
    lines = [each.getMessage() for each in caplog.records]
    return [json.loads(line) for line in lines if line.startswith('{"record": "latency"')]


def test_a_tile_is_counted_from_the_dealer_to_the_disk_once(root, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(latency.time, "time_ns", lambda: NOW * 1_000_000)
    results = worked(dealt(root))
    monkeypatch.setattr(latency.time, "time_ns", lambda: (NOW + 2000) * 1_000_000)
    updater = Updater(UpdaterSettings(BROKER, root, 10, None))
    through(updater._handle, results * 2)  # each is delivered again
    updater._say_latencies()
    [record] = told(caplog)
    [[bucket, count]] = record["buckets"]
    assert len(SURFACES) == count
    assert GROWTH**bucket <= 2000 <= GROWTH ** (bucket + 1)
    assert (0, 0) == (record["unstamped"], record["absurd"])


def test_the_tasks_of_an_old_dealer_are_worked_and_counted_as_unstamped(root, caplog):
    caplog.set_level(logging.INFO)
    tasks = [
        (name, {key: value for key, value in headers.items() if key != STAMP}, body)
        for name, headers, body in dealt(root)
    ]
    updater = Updater(UpdaterSettings(BROKER, root, 10, None))
    through(updater._handle, worked(tasks))
    updater._say_latencies()
    [record] = told(caplog)
    assert ([], len(SURFACES)) == (record["buckets"], record["unstamped"])
