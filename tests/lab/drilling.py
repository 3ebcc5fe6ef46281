"""
A drill from outside: the cluster's state before and after, and an interrupt in between.
"""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from runbook_lib.availability.drills.ground import DrillCluster, get_drill_cluster
from runbook_lib.availability.drills.scorecard import DRILLS_FOLDER, JOURNAL
from runbook_lib.availability.drills.snapshot import Snapshot, take_snapshot
from runbook_lib.availability.standby.failover import Stacks
from runbook_lib.core.activity import ACTIVITY
from runbook_lib.core.errors import ConflictError
from runbook_lib.geodiff.tiles import DataSet
from runbook_lib.hosts.ssh import run
from runbook_lib.load.experiment.load_tiles import FOLDER
from tests.lab.harness import Runbook, seen


def get_cluster(runbook: Runbook) -> DrillCluster:
    """
    The cluster as a drill gets it: healthy, and with nothing to restore.
    """
    given = runbook.given
    data = DataSet(str(given["tiles_url"]), "/srv/tiles")
    ACTIVITY.changes.clear()
    for is_last in (False, False, False, True):  # an instance may still be starting
        try:
            name, key_file = str(given["cluster"]), str(given["key_file"])
            here = get_drill_cluster(name, key_file, runbook.place, data, Stacks())
        except ConflictError:
            if is_last:
                raise
        else:
            # in all tries; the folder of links is removed in the background
            assert [] == [change for change in ACTIVITY.changes if change.name != FOLDER]
            return here
    raise AssertionError


def snapshot(runbook: Runbook) -> Snapshot:
    """
    What a drill must restore; its own tiles are gone.
    """
    here = get_cluster(runbook)
    assert "" == run(here.disk, f"ls -d {FOLDER}* 2>/dev/null || true", sudo=True)
    return take_snapshot(here)


def interrupt(runbook: Runbook, number: str, phase: str, broke: str = "", **given: object) -> None:
    """
    Interrupt a drill in a phase of its first fault, or of the one that `broke` names; everything
    must be restored.
    """
    before = snapshot(runbook)
    known = set(runbook.runs.glob("2*"))
    running = runbook.start("--only", number, **given)
    (folder,) = seen(lambda: set(runbook.runs.glob("2*")) - known)
    records = folder / DRILLS_FOLDER
    seen(lambda: _reached(records, phase, broke) or running.poll() is not None, 420)
    os.kill(running.pid, signal.SIGINT)
    try:
        output, _ = running.communicate(timeout=360)
    except subprocess.TimeoutExpired:
        running.kill()
        pytest.fail(f"not restored within 360 s:\n{running.communicate()[0][-6000:]}")

    assert running.returncode == 130, output
    assert [] == before.differences(snapshot(runbook))


def journal(folder: Path) -> list[dict[str, Any]]:
    """
    The journal of a run's drills.
    """
    path = folder / JOURNAL
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _reached(folder: Path, phase: str, broke: str) -> bool:
    return any(
        line["phase"] == phase and (not broke or line["broke"] == broke) for line in journal(folder)
    )
