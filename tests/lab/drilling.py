"""
A drill seen from outside: what the cluster is before and after, and an interrupt in between.
"""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pandas as pd

from runbook_lib.availability.drills import ground, scorecard, snapshot
from runbook_lib.availability.drills.ground import DrillCluster
from runbook_lib.availability.drills.record import JOURNAL
from runbook_lib.availability.standby.failover import Stacks
from runbook_lib.core.activity import LEDGER
from runbook_lib.core.errors import ConflictError
from runbook_lib.geodiff.tiles import DataSet
from runbook_lib.hosts.ssh import run
from runbook_lib.load.experiment.load_tiles import FOLDER
from tests.lab.harness import Runbook, seen


def enter(runbook: Runbook) -> DrillCluster:
    """
    The cluster as a drill enters it: healthy, and with nothing to put right.
    """
    given = runbook.given
    ec2 = runbook.place.client("ec2")
    data = DataSet(str(given["tiles_url"]), "/srv/tiles")
    LEDGER.changes.clear()
    for patience in (True, True, True, False):  # an instance may still be on its way up
        try:
            here = ground.enter(ec2, str(given["cluster"]), str(given["key_file"]), data, Stacks())
        except ConflictError:
            if not patience:
                raise
        else:
            # in all tries; the folder of links is removed in the background
            assert [] == [change for change in LEDGER.changes if change.name != FOLDER]
            return here
    raise AssertionError


def picture(runbook: Runbook) -> pd.DataFrame:
    """
    What a drill must leave as it was; its own tiles are gone.
    """
    here = enter(runbook)
    assert "" == run(here.disk, f"ls -d {FOLDER}* 2>/dev/null || true", sudo=True)
    return snapshot.picture(here)


def interrupt(runbook: Runbook, number: str, phase: str, broke: str = "", **given: object) -> None:
    """
    Interrupt a drill in a phase, of its first break or of the one that `broke` names; all must be
    as it was then.
    """
    before = picture(runbook)
    known = set(runbook.runs.glob("2*"))
    running = runbook.start("--only", number, **given)
    (folder,) = seen(lambda: set(runbook.runs.glob("2*")) - known)
    records = folder / scorecard.FOLDER
    seen(lambda: _reached(records, phase, broke) or running.poll() is not None, 420)
    os.kill(running.pid, signal.SIGINT)
    output, _ = running.communicate(timeout=360)

    assert running.returncode == 130, output
    assert [] == snapshot.differences(before, picture(runbook))


def journal(folder: Path) -> list[dict[str, Any]]:
    """
    What the drills of a run noted.
    """
    path = folder / JOURNAL
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _reached(folder: Path, phase: str, broke: str) -> bool:
    return any(
        line["phase"] == phase and (not broke or line["broke"] == broke) for line in journal(folder)
    )
