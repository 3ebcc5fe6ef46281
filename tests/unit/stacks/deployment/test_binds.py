"""
The bind mounts beside a stack file: found, brought to every node, and removed.
"""

import os
from pathlib import Path

import pytest

from runbook_lib.core.errors import CommandError, ParameterError
from runbook_lib.stacks.deployment import binds
from runbook_lib.stacks.deployment.files import pack
from tests.fakes.ssh import LocalConnection

BINDS = """
services:
  one:
    image: nginx:1.27
    volumes:
      - ./site:/site:ro
      - {type: bind, source: site, target: /again}
      - type: volume
        source: site
        target: /data
"""


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "run.sh").write_text("echo hello\n")
    (folder / "run.sh").chmod(0o750)
    (folder / "link").symlink_to("run.sh")
    return folder


def test_relative_binds_become_one_folder_of_the_nodes(write, site):
    packed = pack(write(BINDS), "board")
    (bind,) = packed.binds
    assert bind.source == site
    short, long, volume = packed.stack.documents[0]["services"]["one"]["volumes"]
    assert f"{bind.target}:/site:ro" == short
    assert (bind.target, "site") == (long["source"], volume["source"])
    assert bind.target.startswith("/srv/runbook/board/")


def test_the_same_content_under_two_names_is_two_folders(write, site, nodes):
    """A folder is complete once it is there, so nothing is added to it later."""
    (site.parent / "site2").mkdir()
    (site.parent / "site3").mkdir()
    text = "services: {one: {image: 'nginx:1.27', volumes: ['./site2:/a', './site3:/b']}}"
    packed = pack(write(text), "board")
    binds.ensure_binds({"manager": nodes["manager"]}, packed.binds)
    assert [True, True] == [Path(bind.target).is_dir() for bind in packed.binds]


def test_a_change_of_content_or_mode_is_another_folder(write, site):
    targets = {pack(write(BINDS), "board").binds[0].target}
    (site / "run.sh").chmod(0o755)
    targets.add(pack(write(BINDS), "board").binds[0].target)
    (site / "run.sh").write_text("echo bye\n")
    targets.add(pack(write(BINDS), "board").binds[0].target)
    assert 3 == len(targets)


@pytest.mark.parametrize(
    ("volume", "reason"),
    [
        ("./gone:/x", "No such file"),
        ("~/x:/x", "~ is another folder for each user"),
        ("{type: bind, source: gone, target: /x}", "No such file"),
        ("./pipe:/x", "neither a file, a folder nor a link"),
    ],
)
def test_a_bind_that_cannot_travel_is_refused(write, tmp_path, volume, reason):
    os.mkfifo(tmp_path / "pipe")
    text = f"services:\n  one:\n    image: nginx:1.27\n    volumes:\n    - {volume}\n"
    with pytest.raises(ParameterError, match=r"stack\.yml:5: .*" + reason):
        pack(write(text), "board")


def test_a_bind_that_is_too_large_is_refused(write, monkeypatch, site):
    monkeypatch.setattr(binds, "LARGEST_BIND", 3)
    with pytest.raises(ParameterError, match="more than 0 MB"):
        pack(write(BINDS), "board")


@pytest.mark.parametrize("name", ["..", "a/b", "$(touch x)", " "])
def test_no_name_leads_out_of_the_folder(write, site, name):
    (bind,) = pack(write(BINDS), name).binds
    assert 5 == bind.target.count("/")
    assert ".." not in bind.target.split("/")


@pytest.fixture
def nodes(tmp_path, monkeypatch):
    """Two nodes whose folders are on this machine."""
    monkeypatch.setattr(binds, "FOLDER", str(tmp_path / "srv"))
    return {"manager": LocalConnection(), "worker-1": LocalConnection()}


def test_binds_reach_every_node_once_with_their_modes(write, site, nodes):
    packed = pack(write(BINDS), "board")
    changes = binds.ensure_binds({"manager": nodes["manager"]}, packed.binds)
    target = Path(packed.binds[0].target)
    assert ["copied to manager"] == [change.action for change in changes]
    assert "echo hello\n" == (target / "run.sh").read_text()
    assert 0o750 == (target / "run.sh").stat().st_mode & 0o777
    assert (os.getuid(), "run.sh") == (target.stat().st_uid, str((target / "link").readlink()))
    assert [] == binds.ensure_binds(nodes, packed.binds)
    assert [target.parent] == list(target.parent.parent.iterdir())


def test_binds_are_removed_with_their_stack_but_those_to_keep(write, site, nodes):
    one = {"manager": nodes["manager"]}
    packed = pack(write(BINDS), "board")
    binds.ensure_binds(one, packed.binds)
    kept = Path(packed.binds[0].target).parent
    (site / "run.sh").write_text("echo bye\n")
    binds.ensure_binds(one, pack(write(BINDS), "board").binds)
    changes = binds.remove_binds(one, "board", [kept.name])
    assert (1, [kept]) == (len(changes), list(kept.parent.iterdir()))
    binds.remove_binds(one, "board")
    assert not kept.parent.exists()
    assert [] == binds.remove_binds(one, "board")


def test_an_archive_that_ends_early_is_no_bind_mount(write, site, nodes, monkeypatch):
    packed = pack(write(BINDS), "board")
    whole = binds._tar
    # tar takes an end between two files for the end of the archive
    monkeypatch.setattr(binds, "_tar", lambda source: whole(source)[:1024])
    with pytest.raises(CommandError):
        binds.ensure_binds({"manager": nodes["manager"]}, packed.binds)
    target = Path(packed.binds[0].target)
    assert [] == list(target.parent.parent.iterdir())
