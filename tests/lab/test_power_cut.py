"""
The power of the manager is cut while tiles are processed: what was acknowledged is still there.

Dealer, workers, updaters and RabbitMQ run once, their files on a disk whose writes and flushes are
recorded. For each of 200 moments the disk is made as a power cut leaves it: without what was never
flushed, and with half of what the disk was free to reorder. The stack starts on it again, and the
books of both runs are compared.
"""

import json
import os
import random
import shutil
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime

import pytest

from lab.engine.packages import ensure_programs
from tests.engine import ready_engine
from tests.lab.work_stack import SURFACES, Stack, make_tiles, wait_until
from tests.power_cut import disk

pytestmark = [pytest.mark.lab, pytest.mark.power_cut]

CUTS = int(os.environ.get("CUTS", "200"))
SEED = int(os.environ.get("SEED", "7"))
SIZE = 1 << 30
TILES = 120
LAYERS = (*SURFACES, "REJECTED")


@pytest.fixture(scope="module")
def engine():
    ensure_programs(["fusermount3"])
    client = ready_engine()
    yield client
    client.close()


class Run:
    """
    The stack on a disk, and what it did: its audit is kept outside of that disk.
    """

    def __init__(self, engine, folder, place):
        self.audit = folder / "audit"
        self.audit.mkdir(parents=True)
        self.audit.chmod(0o777)
        self.stack = Stack(engine, folder, disk=place)

    @contextmanager
    def going(self, **dealing):
        audited = {str(self.audit): {"bind": "/audit", "mode": "rw"}}
        try:
            self.stack.start_broker(cpus=2)
            self.stack.service("dealer", "dealer", audited, AUDIT="/audit", **dealing)
            for n in range(2):
                self.stack.service("worker", f"worker-{n}", KEEP_ALIVE="0.5")
                self.stack.service("updater", f"updater-{n}", audited, AUDIT="/audit")
            yield
        finally:
            self.stack.remove()

    def files(self):
        """
        The content of each result and rejection, by layer and tile.
        """
        found = {}
        for layer in LAYERS:
            root = self.stack.tiles / layer
            for path in [p for p in root.rglob("*.*") if not p.name.startswith(".")]:
                found[layer, str(path.relative_to(root).with_suffix(""))] = path.read_bytes()
        return found

    def stored(self):
        """
        What the updaters acknowledged as stored: by layer and tile, with its time in ns.
        """
        lines = [line for path in self.audit.iterdir() for line in path.read_text().splitlines()]
        for event in map(json.loads, lines):
            if event["audit"] == "stored":
                at = int(datetime.fromisoformat(event["time"]).timestamp() * 1e9)
                yield (event["layer"], event["tile"]), at, event["is_new"]


def done(files):
    """
    The tiles with their three results, or with a rejection.
    """
    count = Counter(tile for layer, tile in files if layer != "REJECTED")
    rejected = {tile for layer, tile in files if layer == "REJECTED"}
    return rejected | {tile for tile, results in count.items() if results == len(SURFACES)}


def test_what_is_flushed_survives_every_cut_and_what_is_not_may_be_lost(tmp_path):
    """
    The disk of these tests can lose: a file that nobody flushed is missing after most cuts.
    """
    ensure_programs(["fusermount3"])
    folder, noted = tmp_path, {}
    with disk.recorded(folder, 64 << 20) as place:
        began = sum(1 for _ in disk.entries(folder))
        for n in range(50):
            for kind in ("flushed", "left"):
                path = place / f"{kind}-{n}"
                path.write_bytes(b"x" * 3000)
                if kind == "flushed":
                    for each in (path, place):
                        flush(each)
                noted[path.name] = time.time_ns()
    total = sum(1 for _ in disk.entries(folder))
    lost, image = Counter(), folder / "image"
    for point in range(began + 20, total, 40):
        at = disk.cut(folder, point, image, SEED)
        with disk.mounted(image, folder / "after"):
            there = {path.name for path in (folder / "after").iterdir() if path.stat().st_size}
        lost.update(
            n.partition("-")[0] for n, when in noted.items() if when < at and n not in there
        )
    assert 0 == lost["flushed"]
    assert lost["left"] > 50


def flush(path):
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def test_no_acknowledged_tile_is_lost_at_any_of_the_cuts(engine, tmp_path):
    folder = tmp_path / "recorded"
    folder.mkdir()
    with disk.recorded(folder, SIZE) as place:
        run = Run(engine, tmp_path / "first", place)
        names, _ = make_tiles(run.stack.tiles, TILES)
        os.sync()
        began = sum(1 for _ in disk.entries(folder))
        with run.going(BATCH="20", WAIT="0.3"):
            wait_until("all tiles", lambda: done(run.files()) == set(names), 300)
        first, stored = run.files(), list(run.stored())
    ended = sum(1 for _ in disk.entries(folder))
    assert first.keys() == {key for key, _, _ in stored}

    def try_cut(point):
        """
        Cut the power, and let the stack run again on what is left.
        """
        here = tmp_path / f"cut-{point}"
        here.mkdir()
        at = disk.cut(folder, point, here / "image", SEED)
        with disk.mounted(here / "image", here / "files"):
            again = Run(engine, here, here / "files")
            left = again.files()
            with again.going(BATCH="20", WAIT="0.1"):
                wait_until("all tiles again", lambda: done(again.files()) >= set(names), 120)
            repeated = [is_new for key, _, is_new in again.stored() if key in left]
        shutil.rmtree(here)
        return {
            "tiles done at the cut": len(done(left)),
            "tiles recovered": TILES - len(done(left)),
            "acknowledged": sum(when < at for _, when, _ in stored),
            "lost": sum(when < at and left.get(key) != first[key] for key, when, _ in stored),
            "torn": sum(content != first[key] for key, content in left.items()),
            "delivered again": repeated.count(False),
            "written again": repeated.count(True),
        }

    points = random.Random(SEED).sample(range(began, ended), CUTS)
    with ThreadPoolExecutor(2) as lanes:
        books = list(lanes.map(try_cut, points))
    total = Counter()
    for one in books:
        total.update(one)
    print(json.dumps({"cuts": len(books), "operations": ended - began, **total}))
    assert CUTS == len(books)
    assert {"lost": 0, "torn": 0} == {key: total[key] for key in ("lost", "torn")}
    assert 0 < total["acknowledged"] < CUTS * len(first), "all cuts fell before or after the work"
