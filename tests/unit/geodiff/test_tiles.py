"""
The scripts that bring the tiles, run for real against a server on this machine.
"""

import functools
import hashlib
import http.server
import shutil
import threading
import time
from pathlib import Path

import pytest

from runbook_lib.core.errors import CommandError, IntegrityError
from runbook_lib.geodiff.data_set import ensure_parts, ensure_unpacked
from runbook_lib.geodiff.tiles import (
    DataSet,
    bound_folder,
    count_tiles,
    find_tiles,
    read_tiles,
    remove_tiles,
)
from tests.fakes.docker import Engine, Volume
from tests.fakes.ssh import LocalConnection


@pytest.fixture
def served(open_folder):
    """A folder that a web server on loopback serves, with two parts and their checksums."""
    folder = open_folder / "served"
    folder.mkdir()
    for name in ("set.z01", "set.zip"):
        (folder / name).write_bytes(name.encode() * 50_000)
    write_sums(folder)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def write_sums(folder):
    sums = [
        f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}"
        for f in sorted(folder.glob("set.*"))
    ]
    (folder / "SHA256SUMS").write_text("\n".join(sums) + "\n")


@pytest.fixture
def data(served, open_folder):
    """The data set of that server, to be brought into a temporary folder."""
    return DataSet(served[1], str(open_folder / "tiles"))


def test_all_parts_are_downloaded_once(served, data):
    assert ["downloaded 2 parts"] == [c.action for c in ensure_parts(LocalConnection(), data)]
    assert [] == ensure_parts(LocalConnection(), data)
    assert (served[0] / "set.zip").read_bytes() == (Path(data.parts) / "set.zip").read_bytes()


def test_two_runs_at_once_download_each_part_once(served, data, monkeypatch):
    """From two clones: they wrote into one .partial, and one was told that a part is altered."""
    handler = http.server.SimpleHTTPRequestHandler
    send = handler.copyfile
    monkeypatch.setattr(handler, "copyfile", lambda *given: (time.sleep(0.5), send(*given)))
    changes, errors = [], []

    def run():
        try:
            changes.extend(ensure_parts(LocalConnection(), data))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == errors
    assert ["downloaded 2 parts"] == [c.action for c in changes]


def test_a_download_that_broke_off_is_completed(served, data):
    Path(data.parts).mkdir()
    whole = (served[0] / "set.zip").read_bytes()
    (Path(data.parts) / "set.zip.partial").write_bytes(whole[:1000])
    ensure_parts(LocalConnection(), data)

    assert (Path(data.parts) / "set.zip").read_bytes() == whole


def test_a_spoiled_remainder_is_thrown_away_and_fetched_again(served, data):
    Path(data.parts).mkdir()
    (Path(data.parts) / "set.zip.partial").write_bytes(b"spoiled")
    ensure_parts(LocalConnection(), data)

    assert (served[0] / "set.zip").read_bytes() == (Path(data.parts) / "set.zip").read_bytes()


def test_a_part_altered_on_this_side_is_fetched_again(served, data):
    ensure_parts(LocalConnection(), data)
    (Path(data.parts) / "set.z01").write_bytes(b"altered")

    assert ["downloaded 1 parts"] == [c.action for c in ensure_parts(LocalConnection(), data)]


def test_a_part_altered_where_it_is_served_is_refused_with_both_checksums(served, data):
    (served[0] / "set.zip").write_bytes(b"altered")

    with pytest.raises(IntegrityError, match=r"MISMATCH set\.zip expected \w{64} seen \w{64}"):
        ensure_parts(LocalConnection(), data)


def test_a_truncated_part_is_refused(served, data):
    whole = (served[0] / "set.zip").read_bytes()
    (served[0] / "set.zip").write_bytes(whole[:-1])

    with pytest.raises(IntegrityError, match="truncated or altered"):
        ensure_parts(LocalConnection(), data)


def test_a_missing_part_is_named(served, data):
    (served[0] / "set.z01").unlink()

    with pytest.raises(IntegrityError, match=r"set\.z01"):
        ensure_parts(LocalConnection(), data)


def test_a_server_without_checksums_is_an_error_of_the_url(served, data):
    (served[0] / "SHA256SUMS").unlink()

    with pytest.raises(CommandError, match="tiles_url"):
        ensure_parts(LocalConnection(), data)


def test_counting_leaves_out_what_is_being_written(data):
    folder = Path(data.directory) / "RAW" / "2004-01-15" / "0" / "0"
    folder.mkdir(parents=True)
    (folder / "0.png").write_bytes(b"png")
    (folder / ".0.png.partial").write_bytes(b"p")

    assert [["RAW", "2004-01-15", 1]] == count_tiles(LocalConnection(), data).to_numpy().tolist()
    assert ["2004-01-15/0/0/0.png"] == find_tiles(LocalConnection(), data, "RAW")
    assert read_tiles(LocalConnection(), data, ["RAW/2004-01-15/0/0/0.png"]) == {
        "RAW/2004-01-15/0/0/0.png": b"png"
    }


def test_curl_is_here():
    """These tests prove nothing without it."""
    assert shutil.which("curl")


def test_an_application_without_tiles_changes_nothing(tmp_path):
    """None of the steps of 04 touches the manager, and 94 finds nothing."""
    none, manager = DataSet("", str(tmp_path / "tiles")), LocalConnection()
    assert [] == [*ensure_parts(manager, none), *ensure_unpacked(manager, none)]
    assert [] == find_tiles(manager, none, "RAW")
    assert 0 == count_tiles(manager, none)["tiles"].sum()
    assert [] == remove_tiles(manager, Engine(), none)
    assert [] == list(tmp_path.iterdir())


def test_the_volume_is_bound_to_a_folder_or_is_not_there():
    assert "" == bound_folder(Engine())
    assert "" == bound_folder(Engine(volumes=[Volume("tiles-data")]))
    bound = Volume("tiles-data")
    bound.attrs["Options"] = {"type": "none", "o": "bind", "device": "/srv/tiles"}
    assert "/srv/tiles" == bound_folder(Engine(volumes=[bound]))


def test_a_link_is_no_tile_and_is_not_followed(data):
    folder = Path(data.directory) / "RAW" / "2004-01-15"
    folder.mkdir(parents=True)
    (folder / "0.png").write_bytes(b"png")
    (folder / "link.png").symlink_to("0.png")
    (folder / "out.png").symlink_to("/etc/hostname")
    (folder / "two words.png").write_bytes(b"png")
    assert ["2004-01-15/0.png"] == find_tiles(LocalConnection(), data, "RAW")
    with (folder / "large.png").open("wb") as file:
        file.truncate(2**31)  # without a block on the disk
    for name in ("link", "out", "large"):
        with pytest.raises(IntegrityError, match=f"RAW/2004-01-15/{name}"):
            read_tiles(LocalConnection(), data, [f"RAW/2004-01-15/{name}.png"])
