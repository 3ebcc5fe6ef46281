"""
The dates that there are: counted once, looked at again only where something changed.
"""

import math
import os
import threading

import pytest
from geodiff import catalogue, catalogue_rows
from geodiff.catalogue import Catalogue
from geodiff.catalogue_rows import ground_weight
from geodiff.tiles import RAW, TEMPORARY, Tile, write_atomic

FIRST = "2004-01-15"


@pytest.fixture
def dates(world):
    """The listing, always looked at anew."""
    found = Catalogue(world, min_age_s=0)
    return lambda: {day.date: day for day in found.listing(wait_s=60).days}


@pytest.fixture
def settled(world, monkeypatch):
    """Folders that changed long ago."""
    for folder, _, _ in os.walk(world):
        os.utime(folder, ns=(1, 1))


def count_calls(monkeypatch, name):
    calls, real = [], getattr(catalogue_rows, name)

    def counted(*arguments):
        calls.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(catalogue_rows, name, counted)
    return calls


def test_the_rows_of_a_zoom_cover_the_ground_once():
    for z in (0, 1, 4, 10):
        total = sum(ground_weight(z, y) for y in range(2**z))
        assert math.isclose(ground_weight(0, 0), total)
    # Web Mercator cuts the ground at 85.0511 degrees
    assert math.isclose(2 * math.sin(math.radians(85.0511287798066)), ground_weight(0, 0))


def test_a_share_weighs_each_tile_by_its_ground(world, dates, segmented):
    """
    At zoom 2 the two rows at the equator are 3.4 times the ground of those at the poles.
    """
    empty = segmented["DESERT"].replace(b"0.250000", b"0.000000")
    for y in range(4):
        for x in range(4):
            tile = Tile(FIRST, 2, y, x)
            write_atomic(tile.path(world, RAW), b"x")
            write_atomic(tile.path(world, "DESERT"), empty if y in (1, 2) else segmented["DESERT"])
    poles = 1 - math.tanh(math.pi / 2) / math.tanh(math.pi)
    assert math.isclose(0.25 * poles, dates()[FIRST].layers["DESERT"].share)


def test_a_share_is_unknown_while_a_result_is_missing(world, dates):
    """
    Zoom 1 is the deepest whole one; the others do not matter.
    """
    path = Tile(FIRST, 1, 1, 0).path(world, "DESERT")
    away = path.rename(world / "away.png")
    assert None is dates()[FIRST].layers["DESERT"].share
    away.rename(path)
    assert 0.25 == dates()[FIRST].layers["DESERT"].share
    Tile(FIRST, 2, 1, 3).path(world, "DESERT").unlink()
    assert 0.25 == dates()[FIRST].layers["DESERT"].share


@pytest.mark.parametrize("data", [b"", b"no picture", b"share\0two"])
def test_a_share_that_a_result_does_not_tell_is_unknown(data, world, dates):
    Tile(FIRST, 1, 1, 0).path(world, "DESERT").write_bytes(data)
    assert None is dates()[FIRST].layers["DESERT"].share


def test_a_share_moves_to_a_deeper_zoom_once_that_is_whole(world, dates, segmented):
    assert 0.25 == dates()[FIRST].layers["DESERT"].share
    for y in range(4):
        for x in range(4):
            write_atomic(Tile(FIRST, 2, y, x).path(world, RAW), b"x")
    assert None is dates()[FIRST].layers["DESERT"].share


def test_where_no_zoom_is_whole_there_is_no_share(world, dates):
    for z in (0, 1):
        (world / RAW / FIRST / str(z)).rename(world / f"away-{z}")
    day = dates()[FIRST]
    assert (1, None) == (day.layers[RAW].tiles, day.layers["DESERT"].share)
    assert 0 == day.min_zoom  # the results are there still


def test_what_is_no_tile_is_not_counted(world, dates):
    before = dates()
    row = world / RAW / FIRST / "1" / "0"
    for name in (f".0.png.host.1.2{TEMPORARY}", "0.png~", "00.png", "2.png", "x.png", "0.txt"):
        (row / name).write_bytes(b"x")
    for folder in ("02", "x", "-1", "99"):
        (world / RAW / FIRST / folder / "0").mkdir(parents=True)
    (world / RAW / "2004-02-30").mkdir()
    (world / RAW / "20040215").mkdir()
    (world / RAW / "2004-03-15").mkdir()
    (world / RAW / FIRST / "3").symlink_to(world / RAW / FIRST / "1")
    assert before == dates()


def test_dates_come_and_go(world, dates):
    tile = Tile("2003-12-15", 0, 0, 0)
    write_atomic(tile.path(world, RAW), b"x")
    assert ["2003-12-15", FIRST, "2004-07-15"] == list(dates())
    tile.path(world, RAW).unlink()
    assert [FIRST, "2004-07-15"] == list(dates())


def test_a_row_that_did_not_change_is_not_read_again(world, dates, settled, monkeypatch):
    before = dates()
    counted = count_calls(monkeypatch, "_count")
    shares = count_calls(monkeypatch, "_share_of_row")
    assert before == dates()
    assert [] == counted == shares

    write_atomic(Tile(FIRST, 2, 3, 0).path(world, RAW), b"x")
    assert before[FIRST].layers[RAW].tiles + 1 == dates()[FIRST].layers[RAW].tiles
    assert [(world / RAW / FIRST / "2" / "3", 4)] == counted
    assert [] == shares


def test_what_changed_a_moment_ago_is_looked_at_again(world, dates, monkeypatch):
    """
    The clock of files ticks in milliseconds: a tile may come without the folder showing it.
    """
    dates()
    counted = count_calls(monkeypatch, "_count")
    dates()
    assert counted


def test_what_is_remembered_is_bounded(world):
    found = Catalogue(world, min_age_s=0, max_rows=5)
    first = found.listing(60)
    assert first == Catalogue(world).listing(60) == found.listing(60)
    assert 5 == sum(len(rows) for rows in found._rows.values())


def test_a_gone_zoom_is_forgotten(world):
    found = Catalogue(world, min_age_s=0)
    found.listing(60)
    (world / RAW / FIRST / "2").rename(world / "away")
    (world / RAW / "2004-07-15").rename(world / "away-too")
    found.listing(60)
    assert (FIRST, RAW, 2) not in found._rows
    assert ("2004-07-15", RAW, 0) not in found._rows


def test_a_request_during_a_long_count_gets_what_is_known(world, monkeypatch):
    """
    And nobody starts a second look at the same time.
    """
    go_on, looks = threading.Event(), []
    real = catalogue.zooms

    def slow(folder):
        looks.append(folder)
        if folder.name != FIRST:
            go_on.wait(30)
        return real(folder)

    monkeypatch.setattr(catalogue, "zooms", slow)
    found = Catalogue(world, min_age_s=0)
    listing = found.listing(wait_s=0.5)
    assert (False, [FIRST]) == (listing.complete, [day.date for day in listing.days])
    found.listing(wait_s=0)
    assert 1 == sum(folder == world / RAW / FIRST for folder in looks)
    go_on.set()
    listing = found.listing(wait_s=30)
    assert (True, 2) == (listing.complete, len(listing.days))


def test_the_folder_is_read_at_most_once_a_second(world):
    found = Catalogue(world, min_age_s=3600)
    first = found.listing(60)
    write_atomic(Tile("2003-12-15", 0, 0, 0).path(world, RAW), b"x")
    assert first is found.listing(60)
