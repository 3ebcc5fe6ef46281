"""
The rejected tiles: who is among them, and how they count.
"""

import json
import os
from pathlib import Path

import pytest

from runbook_lib.geodiff.rejections import find_rejections
from runbook_lib.geodiff.results import missing
from runbook_lib.geodiff.tiles import DataSet, count_tiles
from tests.fakes.ssh import LocalConnection

SURFACES = ["DESERT", "OCEAN-SEA"]
MANAGER = LocalConnection()


@pytest.fixture
def data(tmp_path):
    return DataSet("http://somewhere", str(tmp_path))


def put(data, layer, tile, content=b"x", mtime_ns=None):
    suffix = "json" if layer == "REJECTED" else "png"
    path = Path(data.directory) / layer / f"{tile}.{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if mtime_ns is not None:
        os.utime(path, ns=(mtime_ns, mtime_ns))
    return path


def reject(data, tile, content=None):
    put(data, "RAW", tile, mtime_ns=5)
    record = {"tile": tile, "reason": "3 times, it ended with -9"}
    put(data, "REJECTED", tile, content or json.dumps(record).encode(), mtime_ns=5)


def listed(data):
    return find_rejections(MANAGER, data).to_numpy().tolist()


def test_a_rejected_tile_is_listed_with_its_reason_until_its_raw_file_is_newer(data):
    reject(data, "2004-01-15/1/0/1")
    assert [["2004-01-15/1/0/1", "3 times, it ended with -9"]] == listed(data)
    put(data, "RAW", "2004-01-15/1/0/1")  # as `touch` does
    assert [] == listed(data)


def test_a_tile_that_is_dealt_again_is_missing_until_it_has_its_results(data):
    """06 must not end while the dealer has it: an old rejection is no answer."""
    reject(data, "2004-01-15/1/0/1")
    assert 0 == missing(count_tiles(MANAGER, data), SURFACES)
    put(data, "RAW", "2004-01-15/1/0/1")
    assert 2 == missing(count_tiles(MANAGER, data), SURFACES)


def test_old_results_of_a_rejected_tile_do_not_hide_those_that_another_lacks(data):
    reject(data, "2004-01-15/1/0/1")
    put(data, "RAW", "2004-01-15/1/1/1")
    for surface in SURFACES:
        put(data, surface, "2004-01-15/1/0/1")
    assert 2 == missing(count_tiles(MANAGER, data), SURFACES)


def test_a_tile_that_was_dropped_counts_nowhere(data):
    reject(data, "2004-01-15/1/0/1")
    put(data, "RAW", "2004-01-15/1/0/1").unlink()
    assert [] == listed(data)
    assert 0 == count_tiles(MANAGER, data)["tiles"].sum()


@pytest.mark.parametrize("content", [b"[]", b"{}", b"\xff", b'{"raw": 1}', b"{" * 9000])
def test_a_record_that_cannot_be_read_is_listed_all_the_same(content, data):
    reject(data, "2004-01-15/1/0/1", content)
    assert [["2004-01-15/1/0/1", "its record cannot be read"]] == listed(data)


def test_a_name_or_a_reason_from_outside_is_shown_as_text(data):
    record = {"reason": "<script>alert(1)</script>" * 50}
    reject(data, "2004-01-15/1/0/1", json.dumps(record).encode())
    table = find_rejections(MANAGER, data)
    assert 300 == len(table["reason"][0])
    assert "<script>" not in table._repr_html_()


def test_a_link_is_no_tile(data, tmp_path_factory):
    path = put(data, "RAW", "2004-01-15/1/0/1")
    outside = path.rename(tmp_path_factory.mktemp("outside") / "it")
    path.symlink_to(outside)
    assert 0 == count_tiles(MANAGER, data)["tiles"].sum()


def test_another_application_has_none_and_is_not_asked():
    assert find_rejections(None, DataSet("", "/srv/tiles")).empty
