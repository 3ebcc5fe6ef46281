"""
The mount's files, the order of the move and its figures; the real one is in tests/lab.
"""

import configparser
from contextlib import contextmanager
from types import SimpleNamespace

import pandas as pd
import pytest

from runbook_lib.availability.tiles_on_s3 import migration
from runbook_lib.availability.tiles_on_s3.bucket_access import BucketAccess
from runbook_lib.availability.tiles_on_s3.copies import compare_readings, find_lost
from runbook_lib.availability.tiles_on_s3.costs import ratio_table, speed_finding
from runbook_lib.availability.tiles_on_s3.migration import Migration, State
from runbook_lib.availability.tiles_on_s3.mount import CONFIG, UNIT_FILE, Remote, mount_files
from runbook_lib.cloud.tiles_bucket import Bucket
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError, IntegrityError
from runbook_lib.geodiff.tiles import DataSet

REMOTE = Remote("runbook-tiles-x", "us-east-1")
BUCKET = Bucket(REMOTE.bucket, "1", REMOTE.region, "c")
CLUSTER = SimpleNamespace(connections={"manager": None}, engines={"manager": None})
MOVE = Migration(BucketAccess(CLUSTER, BUCKET, None, None), DataSet("", "/srv/tiles"))


def files(remote=REMOTE):
    """The files by path, each with its sections."""
    parsed = {}
    for file in mount_files(remote, "/srv/tiles", "tiles-data", 900):
        parsed[file.path] = configparser.ConfigParser(strict=False, interpolation=None)
        parsed[file.path].optionxform = str
        parsed[file.path].read_string(file.content)
    return parsed


def test_no_key_is_in_the_settings_and_others_cannot_read_them():
    settings = files()[CONFIG]["tiles"]

    assert "true" == settings["env_auth"]
    assert not [name for name in settings if "key" in name or "token" in name]
    assert ["0600"] == [
        f.mode for f in mount_files(REMOTE, "/srv/tiles", "v", 900) if f.path == CONFIG
    ]


def test_an_endpoint_of_ones_own_is_asked_by_path_and_aws_by_name():
    own = files(Remote("b", "us-east-1", "http://10.0.0.1:5566"))[CONFIG]["tiles"]

    assert ("Other", "true") == (own["provider"], own["force_path_style"])
    assert "AWS" == files()[CONFIG]["tiles"]["provider"]
    assert "endpoint" not in files()[CONFIG]["tiles"]


def test_a_write_is_acknowledged_by_s3_and_not_by_a_cache():
    """Only `off` answers close() when S3 has the object: at least once depends on it."""
    command = files()[UNIT_FILE]["Service"]["ExecStart"]

    assert "--vfs-cache-mode off" in command
    assert "--dir-cache-time 900s" in command
    assert "mount tiles:runbook-tiles-x /srv/tiles" in command


def test_the_mount_comes_before_docker_and_comes_back():
    unit = files()[UNIT_FILE]

    assert "docker.service" == unit["Unit"]["Before"]
    assert "always" == unit["Service"]["Restart"]
    assert "volume=tiles-data" in unit["Service"]["ExecStartPost"]


class World:
    """
    The manager's folders and the bucket, each as a set of files, and what was done in order.
    """

    def __init__(self, monkeypatch, disk=(), aside=None, bucket=(), mounted=False):
        self.disk, self.aside, self.bucket = set(disk), aside, set(bucket)
        self.mounted, self.done, self.paused = mounted, [], False
        self.killed_at, self.written = "", {}
        for name in (
            "find_state",
            "check_equal",
            "check_worth",
            "ensure_mounted",
            "unmount",
            "run",
        ):
            monkeypatch.setattr(migration, name, getattr(self, name))
        monkeypatch.setattr(migration, "paused", self.pausing)
        monkeypatch.setattr(migration, "copy_files", self.copy)
        monkeypatch.setattr(migration, "_rename", self.rename)
        monkeypatch.setattr(migration, "check_room", lambda *_: None)
        monkeypatch.setattr(migration, "resume", self.resume)
        monkeypatch.setattr(migration, "find_mount_files", lambda _: [UNIT_FILE])

    def find_state(self, _):
        seen = self.bucket if self.mounted else self.disk
        return State(self.mounted, self.aside is not None, bool(seen))

    def folder(self, name):
        return {
            "/srv/tiles": self.bucket if self.mounted else self.disk,
            "/srv/tiles-local": self.aside,
            REMOTE.path: self.bucket,
        }[name]

    def step(self, name):
        self.done.append(name)
        if self.killed_at == name:
            self.killed_at = ""
            raise KeyboardInterrupt

    @contextmanager
    def pausing(self, *_):
        self.paused = True
        self.step("paused")
        yield
        self.resume()

    def resume(self, *_):
        """The services write again: what is rewritten is another file."""
        self.paused = False
        if self.mounted and self.written:
            self.bucket = {self.written.get(name, name) for name in self.bucket}
        return Changes()

    def copy(self, _, source, target, *, exact=False):
        if target == "/srv/tiles-local" and self.aside is None:
            self.aside = set()
        new = self.folder(source) - self.folder(target)
        self.folder(target).update(new)
        if exact:
            self.folder(target).intersection_update(self.folder(source))
        self.step(f"copied to {target}")
        return len(new)

    def check_equal(self, _, source, target, *, exact=False):
        there = self.folder(target) or set()
        if self.folder(source) - there or (exact and there - self.folder(source)):
            raise IntegrityError("differs")
        self.step("compared")
        return len(self.folder(source))

    def check_worth(self, _, kept, going):
        if len(self.folder(kept)) < len(self.folder(going)):
            raise ConflictError("fewer")

    def rename(self, _, source, target):
        assert self.paused
        if source == "/srv/tiles":
            self.disk, self.aside = set(), self.disk
        else:
            self.disk, self.aside = self.aside, None
        self.step(f"{source} renamed")

    def ensure_mounted(self, *_):
        changes = Changes()
        if not self.mounted:
            assert not self.disk
            self.mounted = True
            changes.add("mount", "/srv/tiles", "is the bucket")
            self.step("mounted")
        return changes

    def unmount(self, *_):
        self.mounted = False
        self.step("unmounted")
        return Changes()

    def run(self, _, script, sudo):
        if script.startswith("rm -rf"):
            self.aside = None
            self.step("local copy removed")
        return ""


TILES = {"a", "b", "c"}
COPIED = "copied to tiles:runbook-tiles-x"
THERE = ["paused", COPIED, "compared", "/srv/tiles renamed", "mounted"]


def test_the_disks_copy_goes_last_and_only_after_a_comparison(monkeypatch):
    world = World(monkeypatch, disk=TILES)
    migration.ensure_copied(MOVE)
    migration.ensure_on_s3(MOVE, 60)

    without = [step for step in THERE if step != COPIED]
    assert [COPIED, *without, "local copy removed"] == world.done
    assert (TILES, True, None) == (world.bucket, world.mounted, world.aside)
    assert [] == migration.ensure_copied(MOVE)
    assert [] == migration.ensure_on_s3(MOVE, 60)


def test_what_the_services_rewrite_is_no_difference(monkeypatch):
    """Compared once they ran again, the two copies would differ for ever."""
    world = World(monkeypatch, disk=TILES)
    world.written = {"a": "a, anew"}
    migration.ensure_on_s3(MOVE, 60)

    assert ({"a, anew", "b", "c"}, None) == (world.bucket, world.aside)


def test_the_disks_copy_stays_where_the_bucket_was_lost_since(monkeypatch):
    world = World(monkeypatch, aside=TILES, mounted=True)
    with pytest.raises(ConflictError):
        migration.ensure_on_s3(MOVE, 60)

    assert world.aside == TILES


@pytest.mark.parametrize("step", [*THERE, "local copy removed"])
def test_a_move_that_was_killed_goes_on(monkeypatch, step):
    """After any of its steps, nothing is lost, and the same call ends well."""
    world = World(monkeypatch, disk=TILES)
    world.killed_at = step
    with pytest.raises(KeyboardInterrupt):
        migration.ensure_on_s3(MOVE, 60)
    assert TILES in (world.disk, world.aside, world.bucket)

    migration.ensure_on_s3(MOVE, 60)

    assert (TILES, True, None) == (world.bucket, world.mounted, world.aside)


BACK = [
    "paused",
    "copied to /srv/tiles-local",
    "compared",
    "unmounted",
    "/srv/tiles-local renamed",
]


@pytest.mark.parametrize("step", BACK)
def test_the_way_back_can_be_killed_too(monkeypatch, step):
    """What is older aside than in S3 goes: S3 is what was in use."""
    world = World(monkeypatch, bucket=TILES, aside={"old"}, mounted=True)
    world.killed_at = step
    with pytest.raises(KeyboardInterrupt):
        migration.ensure_on_disk(MOVE)

    migration.ensure_on_disk(MOVE)

    assert (TILES, False, None) == (world.disk, world.mounted, world.aside)
    assert TILES == world.bucket
    assert [] == migration.ensure_on_disk(MOVE)


def test_tiles_whose_mount_is_gone_come_back_from_the_bucket(monkeypatch):
    """The unit was stopped by hand: the folder is empty, and S3 has everything."""
    world = World(monkeypatch, bucket=TILES)
    migration.ensure_on_disk(MOVE)

    assert TILES == world.disk


def test_tiles_in_both_folders_are_refused(monkeypatch):
    world = World(monkeypatch, disk={"a"}, aside={"a", "b"})
    with pytest.raises(ConflictError, match="both"):
        migration.ensure_copied(MOVE)
    assert [] == world.done


def test_a_bucket_is_not_deleted_while_it_is_the_folder(monkeypatch):
    monkeypatch.setattr(migration, "exists", lambda *_: True)
    monkeypatch.setattr(migration, "find_state", lambda _: State(True, False, True))
    with pytest.raises(ConflictError, match="36"):
        migration.ensure_bucket_gone(MOVE, keep=False)
    assert [] == migration.ensure_bucket_gone(MOVE, keep=True)


def test_a_file_that_one_reading_lacks_is_not_equal():
    here = {"RAW/d/1.png": "x", "RAW/d/2.png": "y", "DESERT/d/1.png": "z"}
    there = {"RAW/d/1.png": "x", "RAW/d/2.png": "other"}
    table = compare_readings(here, there)

    assert [("DESERT", 1, 0), ("RAW", 2, 1)] == list(table.itertuples(index=False, name=None))


def counts(**tiles):
    rows = [(name.replace("_", "-"), "2004-01-15", count) for name, count in tiles.items()]
    return pd.DataFrame(rows, columns=["surface", "date", "tiles"])


def test_more_of_one_surface_does_not_hide_less_of_another():
    """Work goes on meanwhile, and RAW tiles have none to be made."""
    before = counts(RAW=6, DESERT=6, OCEAN_SEA=3, REJECTED=1)

    assert [] == find_lost(before, counts(RAW=6, DESERT=6, OCEAN_SEA=5, REJECTED=0))
    assert ["DESERT 2004-01-15: 5, not 6"] == find_lost(
        before, counts(RAW=6, DESERT=5, OCEAN_SEA=6, REJECTED=1)
    )
    assert ["RAW 2004-01-15: 7, not 6"] == find_lost(before, counts(RAW=7, DESERT=6, OCEAN_SEA=3))
    assert ["OCEAN-SEA 2004-01-15: 0, not 3", "RAW 2004-01-15: 5, not 6"] == find_lost(
        before, counts(RAW=5, DESERT=6)
    )


def test_the_finding_is_the_ratio_of_the_medians():
    rows = pd.DataFrame(
        [
            (where, work, rate)
            for where, rates in [("local disk", (90, 100, 300)), ("S3", (20, 25, 1))]
            for work, factor in [("results written", 1), ("tiles read", 2)]
            for rate in (r * factor for r in rates)
        ],
        columns=["where", "work", "per_s"],
    )
    table = ratio_table(rows)

    assert [5.0, 5.0] == list(table["times_slower"])
    assert "writes 5 times slower" in speed_finding(table)
