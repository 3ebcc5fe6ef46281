"""
What the services decide without a broker: leases, silence, rates, the form of the log.
"""

import json
import math
import re
from datetime import UTC, datetime

import pytest
from geodiff import engine
from geodiff.admin_worker import decision_line, decision_record, worker_record
from geodiff.audit import Audit
from geodiff.broker import Delivery
from geodiff.dealer import Dealt
from geodiff.policy import Decision, Light, Seen
from geodiff.queue_rates import SlidingRate
from geodiff.segmentation import NOTHING
from geodiff.tiles import Tile
from geodiff.updater import BadResultError, store
from geodiff.watchdog import SignsOfLife

TILE = Tile("2004-01-15", 4, 5, 6)


def test_a_dealt_tile_is_left_alone_until_its_lease_ends():
    dealt = Dealt(lease_s=60)
    dealt.add(TILE, now=0)
    assert dealt.holds(TILE, now=59)
    assert not dealt.holds(TILE, now=60)
    assert 0 == len(dealt)


def test_memory_of_dealt_tiles_is_bounded():
    dealt = Dealt(lease_s=60, limit=100)
    for x in range(1000):
        dealt.add(Tile("2004-01-15", 12, 0, x), now=0)
    assert 100 == len(dealt)
    assert dealt.holds(Tile("2004-01-15", 12, 0, 999), now=1)


def test_a_worker_is_silent_once_its_last_sign_is_older_than_the_timeout():
    signs = SignsOfLife(listening_since=0)
    signs.heard("a", now=10)
    assert {} == signs.silent({"a": 5}, now=130, max_timeout_s=120)
    assert {"a": 121} == signs.silent({"a": 5}, now=131, max_timeout_s=120)


def test_a_worker_that_never_gave_a_sign_counts_from_its_start():
    signs = SignsOfLife(listening_since=0)
    assert {"a": 121} == signs.silent({"a": 5}, now=126, max_timeout_s=120)


def test_nobody_is_silent_while_we_could_not_listen():
    """
    After a broker's outage every worker has the whole timeout to give a sign.
    """
    signs = SignsOfLife(listening_since=1000)
    assert {} == signs.silent({"a": 5}, now=1100, max_timeout_s=120)


def test_signs_of_tasks_that_are_gone_are_forgotten():
    signs = SignsOfLife(listening_since=0)
    signs.heard("old", now=1)
    signs.forget_all_but({"new"})
    assert {} == signs.last_seen


def test_a_rate_needs_a_span_longer_than_the_brokers_sampling():
    rate = SlidingRate(window_s=10)
    assert [None, None, 100.0] == [rate.add(count, s) for s, count in ((0, 0), (2, 0), (6, 600))]


def test_a_rate_slides_with_its_window():
    rate = SlidingRate(window_s=10)
    rates = [rate.add(min(s, 20) * 10, s) for s in range(0, 60, 5)]
    assert [None, 10, 10, 10, 10, 5, 0, 0, 0, 0, 0, 0] == rates


def test_a_broker_that_counts_from_zero_again_is_no_negative_rate():
    rate = SlidingRate()
    rate.add(1000, 0)
    assert None is rate.add(5, 10)


def test_a_decision_reads_as_in_the_authors_logs():
    decision = Decision(load=0.4, light=Light.GREEN, replicas=12, batch=300, greys=0)
    line = decision_line(decision, 8, 17, datetime(2004, 1, 15, 12, tzinfo=UTC))
    pattern = r"Workers State - Work Load: (\S+) - Replicas: (\d+)/(\d+) - Msg count: (-?\d+)"
    assert ("0.40", "8", "12", "17") == re.search(pattern, line).groups()
    assert line.endswith("Light: GREEN - Batch: 300 - Time: 2004-01-15T12:00:00.000000Z")


def test_a_decision_is_recorded_with_what_it_was_made_from():
    decision = Decision(load=0.4, light=Light.GREEN, replicas=12, batch=300, greys=0)
    seen = Seen(published_per_s=160.0, running=8, desired=12, batch=300)
    record = json.loads(decision_record(decision, seen, datetime(2004, 1, 15, 12, tzinfo=UTC)))
    assert {
        "record": "decision",
        "time": "2004-01-15T12:00:00+00:00",
        "published_per_s": 160.0,
        "load": 0.4,
        "light": "GREEN",
        "running": 8,
        "wanted": 12,
        "batch": 300,
    } == record


def test_an_infinite_load_is_recorded_as_not_measured():
    """
    Strict JSON has no infinity; the rate and the zero workers beside it say why.
    """
    decision = Decision(load=math.inf, light=Light.RED, replicas=2, batch=300, greys=0)
    record = decision_record(decision, Seen(9.0, 0, 0, 300), datetime(2004, 1, 15, tzinfo=UTC))
    assert None is json.loads(record)["load"]


def test_a_sign_of_life_is_recorded_as_the_worker_said_it():
    sign = {"task_id": "t1", "node": "n1", "tiles_done": 7, "time": "2004-01-15T12:00:00+00:00"}
    expected = {"record": "worker", "task": "t1", "node": "n1", "tiles_done": 7}
    assert expected | {"time": sign["time"]} == json.loads(worker_record(sign))


def test_dockers_nine_digits_of_a_second_are_read():
    task = engine._task(
        {
            "ID": "t",
            "NodeID": "n",
            "Status": {
                "State": "running",
                "Timestamp": "2004-01-15T12:00:00.123456789Z",
            },
            "NetworksAttachments": [{"Addresses": ["10.0.1.5/24"]}],
        }
    )
    assert datetime(2004, 1, 15, 12, 0, 0, 123456, UTC) == task.since
    assert ("10.0.1.5",) == task.addresses


def result(**headers):
    return Delivery(1, headers.pop("name", str(TILE)), headers, NOTHING, False)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"kind": "surface"},
        {"kind": "surface", "filter": "../../etc"},
        {"kind": "surface", "filter": "RAW"},
        {"kind": "surface", "filter": "DESERT", "name": "../2004-01-15/4/5/6"},
        {"kind": "rejection"},
        {"kind": "rejection", "raw-mtime-ns": "soon"},
        {"kind": "rejection", "raw-mtime-ns": 2**70},
        {"kind": "rejection", "raw-mtime-ns": math.inf},
    ],
)
def test_a_message_that_is_no_result_writes_nothing(headers, tmp_path):
    with pytest.raises(BadResultError):
        store(tmp_path, result(**headers))
    assert [] == list(tmp_path.iterdir())


def test_a_result_that_is_no_png_writes_nothing(tmp_path):
    headers = {"kind": "surface", "filter": "DESERT"}
    with pytest.raises(BadResultError, match="not a PNG"):
        store(tmp_path, Delivery(1, str(TILE), headers, b"<html>", False))
    assert [] == list(tmp_path.iterdir())


def test_a_result_of_a_repaired_tile_removes_its_rejection(tmp_path):
    rejected = Delivery(1, str(TILE), {"kind": "rejection", "raw-mtime-ns": 5}, b"{}", False)
    headers = {"kind": "surface", "filter": "DESERT"}
    assert store(tmp_path, rejected)
    assert 5 == TILE.path(tmp_path, "REJECTED").stat().st_mtime_ns
    assert not store(tmp_path, rejected)
    assert store(tmp_path, result(**headers))
    assert not TILE.path(tmp_path, "REJECTED").exists()
    assert TILE.path(tmp_path, "DESERT").exists()


def test_books_are_kept_only_where_they_are_asked_for(tmp_path):
    """Each process has its own, and goes on in it."""
    Audit(None).note("published", Tile("2004-01-15", 1, 0, 1))
    assert [] == list(tmp_path.iterdir())

    for _ in range(2):
        Audit(tmp_path).note("stored", Tile("2004-01-15", 1, 0, 1), layer="DESERT", is_new=True)
    (book,) = tmp_path.iterdir()
    entries = [json.loads(line) for line in book.read_text().splitlines()]
    told = {"audit": "stored", "tile": "2004-01-15/1/0/1", "layer": "DESERT", "is_new": True}
    assert [told, told] == [{k: v for k, v in e.items() if k != "time"} for e in entries]
    assert entries[0]["time"] < entries[1]["time"]
