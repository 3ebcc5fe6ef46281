"""
The sample data set: what is drawn, how it is packed, and that what is kept is verified.
"""

import hashlib
import shutil
import subprocess
import zipfile

import numpy as np
import pytest

from lab.core.mounts import find_mounts
from lab.images import rootfs
from lab.sample import data_set, imagery


def test_a_date_has_213_tiles():
    """85 of zooms 0 to 3, and 128 of zoom 4 between the polar circles."""
    tiles = list(imagery.tiles_of_a_date())
    assert len(tiles) == len(set(tiles)) == 213
    assert {y for z, y, _ in tiles if z == 4} == set(range(4, 12))
    assert 12 * len(tiles) == 2556


def test_rows_have_the_latitudes_of_web_mercator():
    """The square world ends at 85.05 degrees, and row 4 of zoom 4 at the polar circle."""
    rows = imagery.latitudes(16 * 256)
    assert rows[0] == pytest.approx(85.05, abs=0.01)
    assert rows[4 * 256] == pytest.approx(66.5, abs=0.05)
    assert rows[0] == pytest.approx(-rows[-1])


def test_winter_is_opposite_on_the_hemispheres():
    """And there is none at the equator."""
    latitude = np.array([60.0, 0.0, -60.0])
    assert imagery.winter(1, latitude) == pytest.approx([1, 0, 0])
    assert imagery.winter(7, latitude) == pytest.approx([0, 0, 1])


def test_a_season_changes_land_and_leaves_the_sea():
    """The northern plains are white in January; the same call gives the same picture."""
    world = np.zeros((256, 256, 3), np.uint8)
    world[:, :128] = (90, 40, 10)  # sea: blue, in OpenCV's order
    world[:, 128:] = (40, 90, 60)  # land
    january = imagery.paint_season(world, 1)
    assert np.array_equal(january[:, :128], world[:, :128])
    assert january[60, 200].min() > 180
    assert january[60, 200].min() > imagery.paint_season(world, 7)[60, 200].max()
    assert np.array_equal(january, imagery.paint_season(world, 1))


def test_tiles_of_every_zoom_show_the_same_world():
    """Each zoom halves the one below: the mean colour stays."""
    world = np.full((4096, 4096, 3), (10, 200, 30), np.uint8)
    tiles = list(imagery.cut(world))
    assert len(tiles) == 213
    assert all(tile.shape == (256, 256, 3) for *_, tile in tiles)
    assert all((tile == (10, 200, 30)).all() for *_, tile in tiles)


@pytest.fixture
def kept(tmp_path):
    """A kept data set of two parts."""
    folder = tmp_path / f"{data_set.NAME}-{data_set.recipe()}"
    folder.mkdir()
    sums = ""
    for name in (f"{data_set.NAME}.z01", f"{data_set.NAME}.zip"):
        (folder / name).write_bytes(name.encode() * 1000)
        sums += f"{hashlib.sha256(name.encode() * 1000).hexdigest()}  {name}\n"
    (folder / data_set.SUMS).write_text(sums)
    return folder


def test_a_kept_data_set_is_used_when_it_is_whole(kept):
    """Every part is compared with its checksum first."""
    assert kept == data_set.find_sample(kept.parent)


@pytest.mark.parametrize("harm", ["altered", "truncated", "missing", "no sums"])
def test_a_kept_data_set_that_is_not_whole_is_not_used(kept, harm):
    """A killed run, or a full disk, may have left anything."""
    part = kept / f"{data_set.NAME}.z01"
    if harm == "altered":
        part.write_bytes(part.read_bytes()[:-1] + b"!")
    elif harm == "truncated":
        part.write_bytes(part.read_bytes()[:10])
    elif harm == "missing":
        part.unlink()
    else:
        (kept / data_set.SUMS).unlink()
    assert data_set.find_sample(kept.parent) is None


@pytest.mark.skipif(not shutil.which("zip"), reason="packing needs Debian's zip")
def test_the_archive_is_a_spanned_zip_and_the_same_each_time(tmp_path, monkeypatch):
    """It joins again, and its checksums do not depend on when or where it was packed."""
    monkeypatch.setattr(data_set, "PART_SIZE", "64k")
    sums = []
    for run in ("one", "two"):
        row = tmp_path / run / "RAW" / "2004-01-15" / "2" / "0"
        row.mkdir(parents=True)
        for x in range(4):
            (row / f"{x}.png").write_bytes(np.random.default_rng(x).bytes(40_000))
        data_set.pack(tmp_path / run, tmp_path / run / "parts")
        sums.append((tmp_path / run / "parts" / data_set.SUMS).read_text())
    assert sums[0] == sums[1]
    assert [line.split()[1] for line in sums[0].splitlines()] == [
        "blue-marble.z01",
        "blue-marble.z02",
        "blue-marble.zip",
    ]
    parts = tmp_path / "one" / "parts"
    join = ["zip", "-q", "-s", "0", "blue-marble.zip", "--out", "joined.zip"]
    subprocess.run(join, cwd=parts, check=True)
    with zipfile.ZipFile(parts / "joined.zip") as joined:
        assert [f"RAW/2004-01-15/2/0/{x}.png" for x in range(4)] == joined.namelist()
        assert joined.testzip() is None


@pytest.mark.parametrize("harm", [None, "altered", "no sum"])
def test_a_kept_base_is_used_only_when_it_is_whole(tmp_path, harm):
    """The tar gets its name and its checksum last."""
    tar = tmp_path / "trixie-0123456789ab.tar"
    tar.write_bytes(b"tar")
    record = tar.with_suffix(".sha256")
    record.write_text(f"{hashlib.sha256(b'tar').hexdigest()}  {tar.name}\n")
    if harm == "altered":
        tar.write_bytes(b"tax")
    elif harm == "no sum":
        record.unlink()
    expected = tar if harm is None else None
    assert expected == rootfs.find_rootfs(tmp_path, "trixie", "0123456789abcdef")


def test_what_a_killed_run_left_half_made_is_removed(tmp_path):
    """Work in progress has names of its own."""
    half = tmp_path / "work-trixie-x1" / "rootfs.tar"
    half.parent.mkdir()
    half.touch()
    (tmp_path / "work-tiles" / "RAW").mkdir(parents=True)
    rootfs.clear_abandoned(tmp_path)
    assert not half.parent.exists()
    data_set.clear_abandoned(tmp_path)
    assert not (tmp_path / "work-tiles").exists()


def test_work_of_a_killed_run_in_which_something_is_mounted_is_not_removed(tmp_path, monkeypatch):
    """To remove the host's /proc or /sys from there would be to remove them here."""
    work = tmp_path / "work-trixie-x1"
    (work / "root/proc").mkdir(parents=True)
    line = "36 35 0:5 / {} ro - proc proc ro\n"
    table = "".join(line.format(point) for point in ("/proc", f"{work}/root", f"{work}/root/proc"))
    monkeypatch.setattr(rootfs.Path, "read_text", lambda self, encoding: table)
    rootfs.clear_abandoned(tmp_path)

    assert [f"{work}/root/proc", f"{work}/root"] == find_mounts(work)
    assert (work / "root/proc").is_dir()
