"""
What a drill leaves in the folder of its run: a journal, its result, the fate of every tile.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from runbook_lib.availability.drills import scorecard
from runbook_lib.availability.drills.evidence import Outcome
from runbook_lib.core import project

JOURNAL = "journal.jsonl"
DEALING, BREAKING, BROKEN, RESTORING, RESTORED, SETTLED = (
    "dealing",
    "breaking",
    "broken",
    "restoring",
    "restored",
    "settled",
)


def run_folder() -> Path:
    """
    The folder of the headless run; of a notebook in hand, one of its own that is made now.
    """
    folder = project.run_folder()
    os.environ[project.FOLDER_VARIABLE] = str(folder)
    return folder


def note(drill: str, phase: str, broke: str = "") -> None:
    """
    Add a line to the journal: of a drill that was killed, it is what tells how far it came.
    """
    path = run_folder() / scorecard.FOLDER / JOURNAL
    path.parent.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"time": now, "drill": drill, "phase": phase, "broke": broke})
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def keep(outcome: Outcome) -> Path:
    """
    Write the result, and beside it, under the same name, the fate of every tile as CSV.
    """
    path = scorecard.write(outcome.result, run_folder())
    outcome.account.fates.to_csv(path.with_suffix(".csv"), index=False)
    return path
