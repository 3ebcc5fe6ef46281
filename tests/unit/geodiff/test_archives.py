"""
Data sets made to become root on the manager: refused in words, with the tiles as they were.

The programs of the manager run here for real: as nobody, if these tests run as root.
"""

import contextlib
import hashlib
import os
import socket
import stat
import subprocess
import sys
import warnings
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook_lib.core.errors import IntegrityError
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.geodiff.data_set import ensure_parts, ensure_unpacked
from runbook_lib.geodiff.tiles import DataSet, remove_tiles
from runbook_lib.hosts.agents import fetch, unpack
from tests.fakes.docker import Engine
from tests.fakes.ssh import LocalConnection
from tests.places import ROOT

AS_ROOT = os.geteuid() == 0
TILE = "RAW/2004-01-15/3/2/5.png"
SYMLINK, DEVICE = stat.S_IFLNK | 0o777, stat.S_IFBLK | 0o666


@pytest.fixture
def data(open_folder):
    """A data set whose parts are here already."""
    (open_folder / "tiles-parts").mkdir()
    return DataSet("http://x", str(open_folder / "tiles"))


def entry(name, mode=0o100644):
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    return info


def bring(data, *entries, compression=zipfile.ZIP_STORED):
    """Pack entries of (name or ZipInfo, content) as the next version of the data set."""
    with zipfile.ZipFile(f"{data.parts}/set.zip", "w", compression) as archive:
        for name, content in entries:
            archive.writestr(name, content, compress_type=compression)
    write_sums(data)


def write_sums(data):
    names = sorted(Path(data.parts).glob("set.*"))
    lines = [f"{hashlib.sha256(n.read_bytes()).hexdigest()}  {n.name}\n" for n in names]
    Path(data.parts, "SHA256SUMS").write_text("".join(lines))


def tree(data):
    """What is in the folder of the tiles, and beside it."""
    top = Path(data.directory).parent
    return {
        str(path.relative_to(top)): path.read_bytes() if path.is_file() else b""
        for path in top.rglob("*")
        if not path.is_relative_to(data.parts)
    }


def refusal(data):
    """The error of a data set that is refused, after which nothing has changed."""
    before = tree(data)
    with pytest.raises(IntegrityError) as caught:
        ensure_unpacked(LocalConnection(), data)
    assert before == tree(data)
    return str(caught.value)


def test_an_archive_is_unpacked_once_for_each_version(data):
    bring(data, (TILE, b"png"), ("RAW/empty/", b""))
    assert ["1 files unpacked"] == [c.action for c in ensure_unpacked(LocalConnection(), data)]
    assert [] == ensure_unpacked(LocalConnection(), data)
    bring(data, (TILE, b"new"), ("RAW/2004-02-15/0/0/0.png", b"more"))
    Path(data.directory, "DESERT").mkdir()
    Path(data.directory, "DESERT", "0.png").write_bytes(b"a result stays")
    assert ["2 files unpacked"] == [c.action for c in ensure_unpacked(LocalConnection(), data)]

    files = {name: content for name, content in tree(data).items() if content}
    stamp = files.pop("tiles/.unpacked")
    assert {
        f"tiles/{TILE}": b"new",
        "tiles/RAW/2004-02-15/0/0/0.png": b"more",
        "tiles/DESERT/0.png": b"a result stays",
    } == files
    sums = Path(data.parts, "SHA256SUMS").read_bytes()
    assert f"{hashlib.sha256(sums).hexdigest()}  -".encode() == stamp  # as sha256sum prints it


def test_a_spanned_archive_is_joined(data):
    whole = Path(data.directory).parent / "RAW"
    for number in range(4):
        (whole / str(number)).mkdir(parents=True)
        (whole / str(number) / "0.png").write_bytes(os.urandom(40_000))
    command = ["zip", "-q", "-0", "-r", "-s", "64k", f"{data.parts}/set.zip", "RAW"]
    subprocess.run(command, cwd=whole.parent, check=True)
    write_sums(data)
    assert len(list(Path(data.parts).glob("set.z0*"))) > 1
    assert ["4 files unpacked"] == [c.action for c in ensure_unpacked(LocalConnection(), data)]
    for tile in whole.rglob("*.png"):
        assert tile.read_bytes() == (data.directory / tile.relative_to(whole.parent)).read_bytes()


@pytest.mark.skipif(not AS_ROOT, reason="gives files to the services' user")
def test_the_tiles_belong_to_the_services_and_no_mode_of_an_archive_survives(data):
    bring(data, (entry(TILE, 0o104777), b"png"))
    ensure_unpacked(LocalConnection(), data)
    for path in [Path(data.directory), *Path(data.directory).rglob("*")]:
        state = path.lstat()
        mode = 0o755 if path.is_dir() else 0o644
        owner = 0 if path.name == ".unpacked" else 1000
        assert (path, mode, owner) == (path, stat.S_IMODE(state.st_mode), state.st_uid)


@pytest.mark.parametrize(
    "name",
    [
        *("../evil.png", "RAW/../../evil.png", "/tmp/evil.png", "RAW//../../evil"),
        *("RAW/it's/0.png", "RAW/$(touch evil)/0.png", "RAW/`id`.png", 'RAW/".png', "RAW/a b.png"),
        *(
            "RAW/a\nb.png",
            "RAW/-rf",
            "-rf/0.png",
            ".unpacked",
            "RAW/.hidden.png",
            "RAW/\x1b[2J.png",
        ),
        *("RAW/é.png", "RAW/\u202e.png", f"RAW/{'a' * 101}", "a/b/c/d/e/f/g/h/i/j.png", "C:\\x"),
    ],
)
def test_a_name_that_leads_elsewhere_or_needs_quotes_is_refused(data, name):
    bring(data, (TILE, b"png"), (name, b"evil"))
    assert "nothing of it was unpacked" in refusal(data)


@pytest.mark.parametrize("mode", [SYMLINK, DEVICE, stat.S_IFIFO | 0o666, stat.S_IFCHR | 0o666])
def test_an_entry_that_is_no_file_never_becomes_what_it_says(data, mode):
    """Unzip makes symbolic links, which are refused, and of a device a file at most."""
    bring(data, (TILE, b"png"), (entry("RAW/x.png", mode), b"/etc/shadow"))
    with contextlib.suppress(IntegrityError):
        ensure_unpacked(LocalConnection(), data)
    there = Path(data.directory, "RAW", "x.png")
    assert not there.is_symlink()
    assert not there.exists() or there.is_file()
    assert mode != SYMLINK or not Path(data.directory).exists()


def test_a_file_below_a_link_of_the_same_archive_is_refused(data, open_folder):
    outside = open_folder / "outside"
    outside.mkdir(mode=0o777)
    outside.chmod(0o777)
    bring(data, (entry("RAW/d", SYMLINK), str(outside)), ("RAW/d/0.png", b"evil"))
    refusal(data)
    assert [] == list(outside.iterdir())


@pytest.mark.parametrize("planted", ["RAW", "RAW/2004-01-15", f"{TILE}"])
def test_no_link_that_is_there_already_is_followed(data, open_folder, planted):
    """No version of a data set, and no service of the stack, finds a way out of the folder."""
    outside = open_folder / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    link = Path(data.directory, planted)
    link.parent.mkdir(parents=True)
    link.symlink_to(outside / "precious" if planted == TILE else outside)
    bring(data, (TILE, b"png"))
    if planted == TILE:  # the link itself is replaced
        ensure_unpacked(LocalConnection(), data)
        assert b"png" == link.read_bytes()
    else:
        assert f"{planted} is in its way" in refusal(data)
    assert ["precious"] == [path.name for path in outside.iterdir()]
    assert b"precious" == (outside / "precious").read_bytes()


def test_the_stamp_is_not_written_through_a_link(data, open_folder):
    target = open_folder / "target"
    target.write_bytes(b"precious")
    Path(data.directory).mkdir()
    for name in (".unpacked", ".unpacked.partial"):
        Path(data.directory, name).symlink_to(target)
    bring(data, (TILE, b"png"))
    ensure_unpacked(LocalConnection(), data)
    assert b"precious" == target.read_bytes()
    assert [] == ensure_unpacked(LocalConnection(), data)


def test_a_file_that_unpacks_to_more_than_a_tile_can_have_is_refused(data):
    bring(data, (TILE, bytes(unpack.LARGEST_FILE + 1)), compression=zipfile.ZIP_DEFLATED)
    assert 10**6 > Path(data.parts, "set.zip").stat().st_size
    assert "ended with" in refusal(data)


def test_what_the_disk_has_no_room_for_is_refused_before_it_is_unpacked(data):
    bring(data, (TILE, b"png"))
    archive = Path(data.parts, "set.zip")
    whole = archive.read_bytes()
    at = whole.index(b"PK\1\2") + 24  # the size in the directory of the archive
    archive.write_bytes(whole[:at] + (2**32 - 2).to_bytes(4, "little") + whole[at + 4 :])
    write_sums(data)
    told = refusal(data) if free(data) < 2**32 else "and the disk has room for"
    assert "and the disk has room for" in told


def free(data):
    disk = os.statvfs(data.parts)
    return disk.f_bavail * disk.f_frsize


def test_a_program_ends_when_it_uses_the_reserve_of_the_disk(open_folder, monkeypatch):
    disk = os.statvfs(open_folder)
    monkeypatch.setattr(unpack, "RESERVE", disk.f_bavail * disk.f_frsize + 2**20)
    with pytest.raises(unpack.Refused, match="no room"):
        unpack._run(["sleep", "60"], open_folder, 2**20)


def test_what_reads_an_archive_runs_as_nobody_and_can_not_become_root(open_folder):
    command = ["sh", "-c", "id -u; grep NoNewPrivs /proc/self/status"]
    with unpack._run(command, open_folder, 2**20) as said:
        user, no_new = said.read().decode().splitlines()
    assert (str(unpack.NOBODY) if AS_ROOT else str(os.geteuid())) == user
    assert not AS_ROOT or no_new.endswith("1")


@pytest.mark.skipif(not AS_ROOT, reason="what a person starts is the person's own")
def test_what_reads_an_archive_ends_with_the_program_that_is_killed(open_folder):
    """Else the next run would find it writing in the folder that it clears."""
    seconds = f"{60 + os.getpid() / 10**7:.7f}"
    code = f"from pathlib import Path; from runbook_lib.hosts.agents import unpack\n\
unpack._run(['sleep', '{seconds}'], Path('{open_folder}'), 1)"
    program = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    wait_for("It reads", lambda: running(seconds) or Pending(""), timeout_s=60, poll_s=0.1)
    program.kill()
    program.wait()
    wait_for("It ended", lambda: not running(seconds) or Pending(""), timeout_s=30, poll_s=0.1)


def running(argument):
    """Whether a program with this argument runs."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if argument in path.read_text().split("\0"):
                return True
    return False


def test_a_download_ends_with_the_program_that_is_killed(open_folder):
    """Else it would go on writing into the file that the next run completes."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        code = f"from runbook_lib.hosts.agents import fetch; fetch.fetch('{url}')"
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        program = subprocess.Popen([sys.executable, "-c", code], cwd=open_folder, env=environ)
        its = f"{url}/{fetch.SUMS}"
        wait_for("It reads", lambda: running(its) or Pending(""), timeout_s=60, poll_s=0.1)
        program.kill()
        program.wait()
        wait_for("It ended", lambda: not running(its) or Pending(""), timeout_s=30, poll_s=0.1)


@pytest.mark.parametrize("names", [[], ["set.zip", "set.2.zip"], ["set.z01"]])
def test_there_is_one_last_part(data, names):
    for name in names:
        Path(data.parts, name).write_bytes(b"x")
    write_sums(data)
    assert f"saw {len([n for n in names if n.endswith('.zip')])}" in refusal(data)


@pytest.mark.parametrize(
    "content", [b"", b"PK\5\6" + bytes(18), b"no archive at all", bytes(70_000)]
)
def test_what_is_no_archive_or_empty_is_refused(data, content):
    Path(data.parts, "set.zip").write_bytes(content)
    write_sums(data)
    refusal(data)


def test_an_encrypted_archive_is_refused_without_a_question(data):
    tile = Path(data.parts, "0.png")
    tile.write_bytes(b"png")
    subprocess.run(["zip", "-q", "-P", "word", "set.zip", "0.png"], cwd=data.parts, check=True)
    write_sums(data)
    assert "ended with" in refusal(data)


def test_the_rest_of_a_run_that_was_killed_is_cleared_away(data):
    rest = Path(f"{data.directory}-unpacking")
    (rest / "tiles").mkdir(parents=True)
    (rest / "tiles" / "half.png").write_bytes(b"h")
    bring(data, (TILE, b"png"))
    ensure_unpacked(LocalConnection(), data)
    assert not rest.exists()
    assert not Path(data.directory, "half.png").exists()
    rest.mkdir()
    removed = remove_tiles(LocalConnection(), Engine(), data)
    assert [data.directory, data.parts, str(rest)] == [change.name for change in removed]


DIGEST = hashlib.sha256(b"part").hexdigest()


@pytest.mark.parametrize(
    "line",
    [
        *(
            "../../etc/cron.d/x",
            "/etc/passwd",
            "a/b",
            "..",
            ".",
            "",
            "-o",
            ".bashrc",
            "a b",
            "$(id)",
        ),
        *("a'b", "a`id`", "{a,b}", "[a-z]", "x.partial", "SHA256SUMS", "a\0b", "é", "a" * 101),
    ],
)
def test_a_part_has_a_plain_name(open_folder, line):
    with pytest.raises(fetch.Refused):
        fetch.read_sums(f"{DIGEST}  {line}\n")


@pytest.mark.parametrize(
    "text",
    [
        *("", "\n", "x  set.zip\n", f"{DIGEST[:-1]}  set.zip\n", f"{DIGEST} set.zip\n"),
        *(f"{DIGEST}  set.zip\n" * 2, f"{DIGEST}  set.zip\n\n", "<html>not found</html>"),
        "".join(f"{DIGEST}  {n}.zip\n" for n in range(fetch.MOST_PARTS + 1)),
    ],
)
def test_a_list_of_checksums_has_each_name_once_and_nothing_else(text):
    with pytest.raises(fetch.Refused):
        fetch.read_sums(text)


@pytest.fixture
def served(open_folder):
    """A folder that a web server on loopback serves, and the data set at it."""
    folder = open_folder / "served"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    handler.func.log_message = lambda *_: None
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    yield folder, DataSet(f"http://127.0.0.1:{server.server_port}", str(open_folder / "tiles"))
    server.shutdown()
    server.server_close()


def test_a_name_that_leads_elsewhere_writes_nothing_there(served, open_folder):
    folder, data = served
    (folder / "SHA256SUMS").write_text(f"{DIGEST}  ../evil.zip\n")
    (folder.parent / "evil.zip").write_bytes(b"part")
    (folder.parent / "evil.zip").rename(folder / "evil.zip")
    with pytest.raises(IntegrityError, match=r"\.\./evil\.zip"):
        ensure_parts(LocalConnection(), data)
    assert ["served", "tiles-parts"] == sorted(path.name for path in open_folder.iterdir())


def test_a_list_of_checksums_without_an_end_is_cut_off(served):
    folder, data = served
    (folder / "SHA256SUMS").write_bytes(b"x" * (fetch.LARGEST_SUMS + 1))
    with pytest.raises(Exception, match="tiles_url") as caught:
        ensure_parts(LocalConnection(), data)
    assert "curl" in str(caught.value)


@pytest.mark.skipif(not AS_ROOT, reason="only root can become nobody")
def test_the_parts_are_downloaded_by_nobody(served):
    folder, data = served
    (folder / "set.zip").write_bytes(b"part")
    (folder / "SHA256SUMS").write_text(f"{DIGEST}  set.zip\n")
    ensure_parts(LocalConnection(), data)
    assert {unpack.NOBODY} == {p.stat().st_uid for p in Path(data.parts).iterdir()}


PARTS = st.sampled_from(
    [
        *("RAW", "2004-01-15", "0", "0.png", "..", ".", "", "/", "a'b", "$(id)", "-rf", "\n", "é"),
        *(".unpacked", "a" * 120, "\0", "\\", "con", "x.json", "%s"),
    ]
)
NAMES = st.lists(PARTS, min_size=1, max_size=5).map("/".join).filter(lambda name: name != "/")
MODES = st.sampled_from([0o100644, 0o100000, 0o106777, SYMLINK, DEVICE, 0o040755, 0])
ENTRIES = st.lists(st.tuples(NAMES, MODES, st.binary(max_size=40)), max_size=5)
SPOILS = st.lists(st.tuples(st.integers(0, 2**16), st.binary(min_size=1, max_size=4)), max_size=4)


@pytest.mark.hostile
@settings(max_examples=settings.default.max_examples // 4)
@given(ENTRIES, st.sampled_from([0, 8, 12, 14]), SPOILS)
def test_any_archive_is_refused_in_words_or_becomes_plain_files(entries, method, spoils):
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        Path(folder).chmod(0o755)
        data = DataSet("http://x", f"{folder}/tiles")
        Path(data.parts).mkdir()
        with warnings.catch_warnings(action="ignore"):  # zipfile, of names that it has already
            bring(data, *((entry(n, m), c) for n, m, c in entries), compression=method)
        whole = bytearray(Path(data.parts, "set.zip").read_bytes())
        for at, what in spoils:
            start = at % len(whole)
            whole[start : start + len(what)] = what
        Path(data.parts, "set.zip").write_bytes(whole)
        write_sums(data)
        with contextlib.suppress(IntegrityError):
            ensure_unpacked(LocalConnection(), data)
        assert {"tiles", "tiles-parts"} >= {path.name for path in Path(folder).iterdir()}
        for path in Path(data.directory).rglob("*"):
            assert stat.S_IFMT(path.lstat().st_mode) in (stat.S_IFREG, stat.S_IFDIR)
            assert unpack._NAME.fullmatch(path.name) or path.name == ".unpacked"


@pytest.mark.hostile
@given(
    st.one_of(
        st.text(max_size=300),
        st.lists(st.tuples(st.sampled_from([DIGEST, "0", DIGEST * 2]), NAMES), max_size=4).map(
            lambda rows: "\n".join(f"{digest}  {name}" for digest, name in rows)
        ),
    )
)
def test_any_list_of_checksums_is_refused_or_plain(text):
    with contextlib.suppress(fetch.Refused):
        for name, digest in fetch.read_sums(text).items():
            assert name == Path(name).name != ""
            assert unpack._NAME.fullmatch(name)
            assert 64 == len(digest)
