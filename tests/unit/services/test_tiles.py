"""
Tiles on disk: names that come from messages, writes that are all or nothing, what is still to do.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from geodiff import dealer, settings, tiles
from geodiff.tiles import SURFACES, Tile, parse_tile, pending, remove_strays, write_atomic

TILE = Tile("2004-01-15", 4, 5, 6)


@pytest.fixture
def root(tmp_path):
    for layer in ("RAW", *SURFACES):
        (tmp_path / layer).mkdir()
    return tmp_path


def put(root, layer, tile=TILE, data=b"x"):
    path = tile.path(root, layer)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_a_name_and_its_tile_say_the_same():
    assert parse_tile("2004-01-15/4/5/6") == TILE
    assert "2004-01-15/4/5/6" == str(TILE)
    assert Path("/t/DESERT/2004-01-15/4/5/6.png") == TILE.path(Path("/t"), "DESERT")


@pytest.mark.parametrize(
    "name",
    [
        "", "RAW", "2004-01-15/4/5", "2004-01-15/4/5/6/7", "/2004-01-15/4/5/6",
        "../../../etc/passwd", "2004-01-15/4/5/../6", "2004-01-15/4/5/6.png", "2004-01-15/4/5/-1",
        "2004-01-15/4/5/06", "2004-13-15/4/5/6", "2004-1-15/4/5/6", "2004-01-15/4/16/6",
        "2004-01-15/4/5/16", "2004-01-15/25/0/0", "2004-01-15/4/5/6\n", "2004-01-15/4/5/6\0",
        "2004-01-15/4/5/٦", " 2004-01-15/4/5/6", "2004-01-15/4/5/" + "9" * 4000,
    ],
)  # fmt: skip
def test_a_name_that_is_not_a_tile_never_becomes_a_path(name):
    with pytest.raises(ValueError, match=r"is not|outside|month|isoformat"):
        parse_tile(name)


def test_what_is_written_is_there_and_nothing_else(root):
    path = TILE.path(root, "DESERT")
    assert write_atomic(path, b"new")
    assert b"new" == path.read_bytes()
    assert [path] == list(path.parent.iterdir())


def test_writing_the_same_again_touches_nothing(root):
    path = TILE.path(root, "DESERT")
    write_atomic(path, b"same")
    os.utime(path, ns=(1, 1))
    assert not write_atomic(path, b"same")
    assert 1 == path.stat().st_mtime_ns


def test_other_bytes_replace_the_old_ones(root):
    path = TILE.path(root, "DESERT")
    write_atomic(path, b"old")
    assert write_atomic(path, b"new")
    assert b"new" == path.read_bytes()


def test_a_write_that_fails_leaves_the_old_file_and_no_other(root, monkeypatch):
    path = TILE.path(root, "DESERT")
    write_atomic(path, b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tiles.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, b"new")
    assert [path] == list(path.parent.iterdir())
    assert b"old" == path.read_bytes()


KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from geodiff import tiles
def killed(_): os.kill(os.getpid(), signal.SIGKILL)
tiles.os.fsync = killed
tiles.write_atomic(Path(sys.argv[1]), b"half")
"""


def test_a_file_is_closed_when_it_is_renamed_and_no_stray_until_it_has_its_name(root, monkeypatch):
    """On S3, a rename of an open file fails in secret; and no other updater may take it away."""
    path = TILE.path(root, "DESERT")
    opened, seen = [], []
    lock, rename = tiles.fcntl.flock, Path.replace

    def locked(file, how):
        opened.append(file)
        lock(file, how)

    def replace(self, target):
        seen.append((opened[0].closed, remove_strays(root)))
        return rename(self, target)

    monkeypatch.setattr(tiles.fcntl, "flock", locked)
    monkeypatch.setattr(Path, "replace", replace)
    before = list(Path("/proc/self/fd").iterdir())

    assert write_atomic(path, b"new")
    assert [(True, 0)] == seen
    assert b"new" == path.read_bytes()
    assert len(before) == len(list(Path("/proc/self/fd").iterdir()))


def test_what_a_killed_writer_left_is_removed_and_a_living_ones_work_is_not(root):
    """
    A lock tells them apart: the kernel lets go of it when its owner dies.
    """
    path = TILE.path(root, "DESERT")
    environment = {**os.environ, "PYTHONPATH": str(Path(tiles.__file__).parents[1])}
    command = [sys.executable, "-c", KILLED_WHILE_WRITING, str(path)]
    assert -9 == subprocess.run(command, env=environment, check=False).returncode
    assert [".writing"] == [file.suffix for file in path.parent.iterdir()]

    alive = path.with_name(f".other{tiles.TEMPORARY}")
    with alive.open("xb") as file:
        tiles.fcntl.flock(file, tiles.fcntl.LOCK_EX)
        assert 1 == remove_strays(root)
        assert [alive] == list(path.parent.iterdir())


def test_a_tile_is_pending_until_it_has_its_three_results(root):
    put(root, "RAW")
    for surface in SURFACES:
        assert [TILE] == list(pending(root))
        put(root, surface)
    assert [] == list(pending(root))


def test_a_rejected_tile_is_pending_again_once_its_raw_file_is_newer(root):
    raw, rejection = put(root, "RAW"), put(root, "REJECTED")
    os.utime(raw, ns=(100, 100))
    os.utime(rejection, ns=(100, 100))
    assert [] == list(pending(root))
    os.utime(raw, ns=(101, 101))
    assert [TILE] == list(pending(root))


def test_what_is_not_a_tile_is_not_dealt(root):
    for name in ("2004-01-15/4/5/6.txt", "2004-01-15/4/5/06.png", "2004-01-15/4/5/.6.png",
                 "notes/4/5/6.png", "2004-01-15/4/16/0.png", "readme.png"):  # fmt: skip
        path = root / "RAW" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert [] == list(pending(root))


def test_an_empty_or_missing_tree_has_nothing_pending(tmp_path):
    assert [] == list(pending(tmp_path))


def test_tiles_come_in_the_order_of_their_numbers(root):
    for x in (10, 9, 2):
        put(root, "RAW", Tile("2004-01-15", 4, 0, x))
    assert [2, 9, 10] == [tile.x for tile in pending(root)]


@pytest.mark.parametrize("linked", ["RAW", "RAW/2004-01-15", "RAW/2004-01-15/4/5",
                                    "RAW/2004-01-15/4/5/6.png"])  # fmt: skip
def test_a_link_is_not_dealt_whatever_it_leads_to(linked, root, tmp_path_factory):
    """An archive's link to a secret would become a task, and leave the manager."""
    put(root, "RAW")
    outside = tmp_path_factory.mktemp("outside") / "it"
    (root / linked).rename(outside)
    (root / linked).symlink_to(outside)
    assert [] == list(pending(root))


class Taken:
    """A link to the broker that keeps what is published."""

    def __init__(self):
        self.published = []

    async def publish(self, exchange, body, **properties):
        self.published.append((properties["message_id"], body))


@pytest.mark.parametrize("linked", ["RAW/2004-01-15/4/5", "RAW/2004-01-15/4/5/6.png"])
def test_a_tile_that_becomes_a_link_before_it_is_read_is_not_published(linked, root, tmp_path):
    put(root, "RAW", data=b"a secret")
    put(root, "RAW", Tile("2004-01-15", 4, 6, 6))
    broker = settings.BrokerSettings("", 1, 1, "", "", "/", 20)
    options = settings.DealerSettings(broker, root, 10, 10, 0, 60, 10, None)
    service, link = dealer.Dealer(options), Taken()
    found = list(pending(root))
    outside = tmp_path.with_name(tmp_path.name + "-outside")
    (root / linked).rename(outside)
    (root / linked).symlink_to(outside)
    for tile in found:
        asyncio.run(service._publish(link, tile))
    assert [("2004-01-15/4/6/6", b"x")] == link.published


@pytest.mark.parametrize("linked", ["DESERT", "DESERT/2004-01-15/4", "DESERT/2004-01-15/4/5/6.png"])
def test_nothing_is_written_through_a_link(linked, root, tmp_path_factory):
    path = put(root, "DESERT", data=b"old")
    outside = tmp_path_factory.mktemp("outside") / "it"
    (root / linked).rename(outside)
    (root / linked).symlink_to(outside)
    with pytest.raises(ValueError, match="a link leads from"):
        write_atomic(path, b"new")
    assert b"old" == path.read_bytes()
