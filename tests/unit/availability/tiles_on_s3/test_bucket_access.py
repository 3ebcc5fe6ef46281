"""
A visit of the bucket, and who refuses what while the tiles are on S3.
"""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from runbook_lib.availability.tiles_on_s3 import bucket_access, mount
from runbook_lib.cloud import tiles_bucket
from runbook_lib.cloud.tiles_bucket import Bucket, Content
from runbook_lib.core import checks
from runbook_lib.core.activity import ACTIVITY
from runbook_lib.core.changes import Changes
from runbook_lib.core.errors import ConflictError
from runbook_lib.geodiff import tiles
from runbook_lib.geodiff.tiles import DataSet
from runbook_lib.load.experiment import load_tiles
from runbook_lib.notebook.templates import find_notebooks
from tests.fakes.docker import Engine, Service
from tests.fakes.ec2 import instance
from tests.places import ROOT

WORKER = instance("worker-1", public_ip="54.0.0.4", instance_id="i-1")
OTHER = replace(WORKER, role="worker-2", instance_id="i-2")
CLUSTER = SimpleNamespace(
    ec2=None,
    instances={"manager": None, "worker-1": WORKER, "worker-2": OTHER},
    connections={"manager": None, "worker-1": None},
    roles=["manager", "worker-1"],
)
ACCESS = bucket_access.BucketAccess(CLUSTER, Bucket("b", "1", "us-east-1", "c"), None, None)
DATA = DataSet("", "/srv/tiles")
NOTEBOOKS = ROOT / "notebooks"


def changed(name, action):
    changes = Changes()
    changes.add("instance", name, action)
    return changes


@pytest.fixture
def given(monkeypatch):
    """What was given to the instance and not taken away again."""
    held = []
    monkeypatch.setattr(ACTIVITY, "changes", [])

    def give(*_):
        held.append("role")
        return changed("worker-1", "given")

    def take(*_):
        held.remove("role")
        return changed("worker-1", "taken")

    monkeypatch.setattr(bucket_access, "ensure_bucket_access", give)
    monkeypatch.setattr(bucket_access, "remove_bucket_access", take)
    monkeypatch.setattr(mount, "ensure_rclone", lambda *_: changed("worker-1", "installed"))
    return held


def test_a_visit_leaves_nothing_but_the_package(given):
    """A second run must be able to say no changes."""
    with bucket_access.temporary_access(ACCESS, "worker-1"):
        assert ["role"] == given

    assert [] == given
    assert ["installed"] == [change.action for change in ACTIVITY.changes]


def test_a_visit_that_is_interrupted_ends_the_same_way(given):
    with pytest.raises(KeyboardInterrupt), bucket_access.temporary_access(ACCESS, "worker-1"):
        raise KeyboardInterrupt

    assert [] == given
    assert ["installed"] == [change.action for change in ACTIVITY.changes]


def test_a_visit_that_was_killed_is_ended(monkeypatch):
    """Nothing ran after the kill: the role is still there, and the settings on the reader."""
    holders = [OTHER.role, WORKER.role]

    def take(ec2, bucket, instance):
        holding = instance.role in holders
        if holding:
            holders.remove(instance.role)
        return changed(instance.role, "no longer has the role") if holding else Changes()

    monkeypatch.setattr(bucket_access.role_assignment, "remove_assignment", take)
    monkeypatch.setattr(mount, "remove_settings", lambda _, role: changed(role, "removed"))
    ended = bucket_access.end_temporary_access(ACCESS)

    assert [] == holders
    assert [
        ("worker-1", "removed"),
        ("worker-1", "no longer has the role"),
        ("worker-2", "no longer has the role"),
    ] == [(c.name, c.action) for c in ended]


def test_31_ends_visits_before_it_checks_the_roles_holders():
    """A check of what nobody mends fails for ever."""
    code = code_of("31_tiles_on_s3")
    ended = code.index("ended = bucket_access.end_temporary_access(access)")

    assert ended < code.index('"instances that have the role"')


@pytest.mark.parametrize("there", [True, False])
def test_36_keeps_a_bucket_with_nothing_in_it_too(monkeypatch, there):
    """What was there and is kept is there in the end."""
    code = code_of("36_remove_tiles_on_s3")
    begin = code.index('checks.check(\n    "the bucket exists"')
    monkeypatch.setattr(tiles_bucket, "exists", lambda *_: there)
    given = {"keep_bucket": True, "there": there, "held": Content(0, 0, 0.0), "s3": None}
    given |= {"checks": checks, "tiles_bucket": tiles_bucket, "bucket": None}
    exec(code[begin : code.index("\n)\n", begin) + 2], given)


def code_of(stem):
    (page,) = (one for one in find_notebooks(NOTEBOOKS) if one.path.stem == stem)
    return "\n\n".join(cell.source for cell in page.code) + "\n"


def test_tiles_are_not_removed_through_a_mount(monkeypatch):
    """It would empty the bucket."""
    said = []

    def run(_, script, sudo):
        said.append(script)
        return "tiles:runbook-tiles-x\n" if script.startswith("findmnt") else ""

    monkeypatch.setattr(tiles, "run", run)
    with pytest.raises(ConflictError, match="36_remove_tiles_on_s3"):
        tiles.remove_tiles(object(), None, DATA)
    assert not [script for script in said if "rm -rf" in script]


def test_a_load_test_refuses_tiles_that_cannot_be_linked(monkeypatch):
    monkeypatch.setattr(load_tiles, "run", lambda *_, **__: '{"here": false}')
    with pytest.raises(ConflictError, match="36_remove_tiles_on_s3"):
        load_tiles.get_room(None, DATA, 100)


@pytest.mark.parametrize("said", ["answered", "<urlopen error timed out>"])
def test_what_a_container_is_told_is_what_is_said(said):
    spec = {"TaskTemplate": {"ContainerSpec": {"Image": "geo-diff:1"}}}
    asked = []

    def run(image, command, **options):
        asked.append((image, options["entrypoint"]))
        return f"{said}\n".encode()

    engine, service = Engine(), Service("geo-diff-work_worker", spec)
    engine.containers.run = run

    assert said == bucket_access.ask_from_container(engine, service)
    assert [("geo-diff:1", "python")] == asked
