"""
The backup's own arithmetic on real files: what is hashed, what is believed, what is refused.
"""

import hashlib
import json
import os

import pytest

from runbook_lib.hosts.agents import backup
from runbook_lib.hosts.agents.backup import differing, scan, serve


@pytest.fixture
def tiles(tmp_path):
    """Two tiles, and the hidden files of writers at work."""
    folder = tmp_path / "tiles"
    for name, content in {
        "RAW/2004-01-15/0/0/0.png": b"raw",
        "DESERT/2004-01-15/0/0/0.png": b"sand",
        "DESERT/2004-01-15/0/0/.0.png.host.1.tmp": b"half",
        ".unpacked": b"stamp",
        ".tiles-restored.x/RAW/0.png": b"old",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_every_visible_file_is_hashed_and_no_hidden_one(tiles):
    expected = {
        f"{tiles}/RAW/2004-01-15/0/0/0.png": hashlib.sha256(b"raw").hexdigest(),
        f"{tiles}/DESERT/2004-01-15/0/0/0.png": hashlib.sha256(b"sand").hexdigest(),
    }

    assert expected == scan([str(tiles)])


def test_a_hash_is_kept_as_long_as_the_file_is_the_one_of_then(tiles, tmp_path):
    """The cache is believed: here it says something that no file holds."""
    cache = tmp_path / "hashes.json"
    scan([str(tiles)], cache)
    held = json.loads(cache.read_text())
    path = f"{tiles}/RAW/2004-01-15/0/0/0.png"
    held[path][1] = "of the cache"
    cache.write_text(json.dumps(held))

    assert "of the cache" == scan([str(tiles)], cache)[path]
    assert hashlib.sha256(b"raw").hexdigest() == scan([str(tiles)])[path]


@pytest.mark.parametrize("content", [b"new", b"longer"])
def test_a_file_that_was_replaced_is_hashed_again(tiles, tmp_path, content):
    """Also by one of the same size and time: rsync sets the time of the source."""
    cache = tmp_path / "hashes.json"
    scan([str(tiles)], cache)
    path = tiles / "RAW/2004-01-15/0/0/0.png"
    times = path.stat()
    (tiles / "next").write_bytes(content)
    os.utime(tiles / "next", ns=(times.st_atime_ns, times.st_mtime_ns))
    (tiles / "next").replace(path)

    assert hashlib.sha256(content).hexdigest() == scan([str(tiles)], cache)[str(path)]


def test_a_broken_cache_costs_time_and_nothing_else(tiles, tmp_path):
    cache = tmp_path / "hashes.json"
    cache.write_text("{half of it")

    assert scan([str(tiles)]) == scan([str(tiles)], cache)


def test_a_folder_that_does_not_exist_has_no_files(tmp_path):
    assert {} == scan([f"{tmp_path}/nowhere"])


def test_what_is_missing_or_altered_differs_and_what_is_on_top_does_not():
    promised = {"a": "1", "b": "2", "c": "3"}

    assert ["b", "c"] == differing(promised, {"a": "1", "b": "x", "d": "4"})
    assert [] == differing(promised, {**promised, "d": "4"})


def test_a_manifest_is_what_sha256sum_reads(tiles, monkeypatch, capsys, tmp_path):
    """`sha256sum -c` on the other side would do as well."""
    monkeypatch.setattr(backup, "HASH_CACHE", str(tmp_path / "hashes.json"))

    assert 0 == serve("manifest", [str(tiles)])

    lines = capsys.readouterr().out.splitlines()
    assert sorted(f"{d}  {path}" for path, d in scan([str(tiles)]).items()) == sorted(lines)


@pytest.mark.parametrize(
    "request_",
    ["", "sh", "cat /etc/shadow", "manifest; id", "rsync --server -vlogDtpre.iLsfxC . /srv/tiles"],
)
def test_the_key_runs_nothing_else(request_, capsys):
    assert 1 == serve(request_, ["/srv/tiles"])
    assert "may not run" in capsys.readouterr().err
