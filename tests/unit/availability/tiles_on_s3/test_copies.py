"""
What is made of rclone's answers and of its end: the scripts run here, with an rclone that says what
it is told to; the real one is in tests/lab.
"""

import os
import subprocess

import pytest

from runbook_lib.availability.tiles_on_s3 import copies
from runbook_lib.core.errors import CommandError, ConflictError, IntegrityError

BUCKET = "tiles:runbook-tiles-x"


@pytest.fixture
def fake_rclone(monkeypatch, tmp_path):
    """Set what the next rclone does, in shell; every call is noted in `calls`."""
    path = f"{tmp_path}:{os.environ['PATH']}"
    calls = tmp_path / "calls"

    def run(_, script, *, sudo=False):
        command = ["bash", "-euo", "pipefail", "-c", script]
        done = subprocess.run(
            command, env={"PATH": path}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CommandError("failed", evidence=done.stdout)
        return done.stdout

    def say(does):
        program = tmp_path / "rclone"
        program.write_text(
            f'#!/bin/bash\necho "$*" >>{calls}\nwhile [ $# -gt 0 ]; do'
            f' [ "$1" = --combined ] && report=$2; last=$1; shift; done\n{does}\n'
        )
        program.chmod(0o755)
        return calls

    monkeypatch.setattr(copies, "run", run)
    return say


def test_equal_is_what_was_compared_to_its_end(fake_rclone):
    fake_rclone("printf '= a\\n= b\\n' >$report")

    assert 2 == copies.check_equal(None, "/srv/tiles", BUCKET)


@pytest.mark.parametrize(
    "end",
    ["kill -KILL $$", "echo 'ERROR: DESERT: could not list' >&2; exit 1", "exit 3", "exit 7"],
)
def test_a_comparison_that_broke_off_is_no_proof(fake_rclone, end):
    """What it had not come to is in no report; the folders would be deleted nevertheless."""
    fake_rclone(f"printf '= a\\n' >$report; {end}")
    with pytest.raises(CommandError, match="to the end"):
        copies.check_equal(None, "/srv/tiles", BUCKET)


def test_differences_are_named(fake_rclone):
    fake_rclone("printf '= a\\n* DESERT/b\\n+ c\\n' >$report; exit 1")
    with pytest.raises(IntegrityError, match=r"1 are equal\n  \* DESERT/b\n  \+ c\n"):
        copies.check_equal(None, "/srv/tiles", BUCKET)


def test_nothing_compared_is_no_proof(fake_rclone):
    fake_rclone("true")
    with pytest.raises(IntegrityError, match="no file"):
        copies.check_equal(None, "/srv/tiles", BUCKET)


@pytest.mark.parametrize(("here", "there"), [(0, 0), (0, 50), (40, 50), (89, 100)])
def test_a_bucket_that_lost_its_tiles_takes_none_from_the_disk(fake_rclone, tmp_path, here, there):
    """The disk's may be the last copy."""
    target = tmp_path / "tiles-local"
    target.mkdir()
    counts = (
        f'[ $last = {target} ] && n={there} || n={here}; echo "{{\\"count\\":$n,\\"bytes\\":1}}"'
    )
    calls = fake_rclone(counts)
    with pytest.raises(ConflictError, match="about as many") as error:
        copies.copy_files(None, BUCKET, str(target), exact=True)

    assert f"{here} files are in {BUCKET}, {there} in {target}" in str(error.value)
    assert "sync" not in calls.read_text()


def test_an_exact_copy_may_remove_few(fake_rclone, tmp_path):
    target = tmp_path / "tiles-local"
    target.mkdir()
    calls = fake_rclone(
        'echo "$last" | grep -q writing || n=100; [ -n "${n:-}" ] && '
        'echo "{\\"count\\":$n,\\"bytes\\":1}" || true'
    )
    copies.copy_files(None, BUCKET, str(target), exact=True)
    (sync,) = [line for line in calls.read_text().splitlines() if " sync " in line]

    assert "--max-delete 10 " in sync


def test_a_folder_that_is_not_there_has_nothing(fake_rclone):
    calls = fake_rclone("exit 3")

    assert (0, 0) == copies._measure(None, "/srv/not-there")
    assert not calls.exists()


@pytest.mark.parametrize(("brought", "fits"), [(0, False), (9 * 10**18, True)])
def test_what_a_killed_copy_brought_needs_no_room_again(fake_rclone, tmp_path, brought, fits):
    target = tmp_path / "tiles-local"
    target.mkdir()
    fake_rclone(
        f"[ $last = {target} ] && n={brought} || n=9000000000000000000; "
        'echo "{\\"count\\":1,\\"bytes\\":$n}"'
    )
    if fits:
        copies.check_room(None, BUCKET, str(target))
    else:
        with pytest.raises(CommandError, match="room for"):
            copies.check_room(None, BUCKET, str(target))
