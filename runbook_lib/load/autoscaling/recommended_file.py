"""
The recommended parameters of a load analysis, written as a file that the runner takes as it is.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from runbook_lib.core.findings import Finding
from runbook_lib.core.project import FOLDER_VARIABLE, NOTEBOOKS, PROJECT, RUNS, run_folder
from runbook_lib.load.analysis.sizing import Sizing
from runbook_lib.load.autoscaling.recommendation import recommend, write_parameters
from runbook_lib.load.autoscaling.trials import Trials
from runbook_lib.notebook.templates import find_notebooks
from runbook_lib.runner import values

NAME = "recommended.yml"
RECORD = "runbook run <parameter file> --only 10 -p replicas=1,2,4,8"
USUAL_BASE = "params/lab.yml"


@dataclass(frozen=True, repr=False)
class RecommendedFile(Finding):
    """
    `command` deploys the file; where nothing is recommended, `path` is None and it records more.
    """

    path: Path | None = None
    command: str = RECORD


def write_recommended(sizing: Sizing, trials: Trials, base: str = "") -> RecommendedFile:
    """
    Write it into the folder of the headless run, else of the run that was recorded, else a new one.

    Parameters
    ----------
    base
        The parameter file that it completes; "": that of the headless run, else params/lab.yml.

    Raises
    ------
    NotFoundError
        There is no such file.
    ParameterError
        The runner would refuse the file.
    """
    if not sizing.is_recommendation or sizing.workers is None or sizing.rate is None:
        why = sizing.limits[0] if sizing.limits else "there is no fit"
        return RecommendedFile(f"enough for a recommendation: {why}")
    low, high = sizing.workers.low, sizing.workers.high
    recommended = recommend(
        workers=sizing.chosen,
        sustained_workers=max(
            1.0, sizing.chosen * (sizing.burst.sustained_share if sizing.burst else 1.0)
        ),
        tiles_per_s=sizing.rate.value,
        wait_s=float(sizing.recording.experiment.get("wait_s", 2.0)),
        refresh_rate_s=trials.refresh_rate_s,
        reason=f"within 5 % of the best that was measured (95 %: {low:.0f} to {high:.0f})",
    )
    source = PROJECT / sizing.recording.source
    before = PROJECT / (base or _base_of_the_run())
    path = write_parameters(
        _folder(source) / NAME,
        before,
        recommended,
        header=f"Recommended by 11_load_analysis, from {_relative(source)}.\n"
        f"All else as in {_relative(before)}.",
    )
    values.resolve(values.load(path), values.declared(find_notebooks(NOTEBOOKS)), {})
    was = values.load(before)
    rows = [
        (name, str(was[name].value) if name in was else "", f"{new.value:g}", new.reason)
        for name, new in recommended.items()
    ]
    table = pd.DataFrame(rows, columns=["parameter", "before", "recommended", "why"])
    command = f"runbook run {_relative(path)} --only 06"
    return RecommendedFile(f"Written to {_relative(path)}.", table, path, command)


def _folder(source: Path) -> Path:
    """
    The folder of the recorded run; logs from elsewhere are left as they are.
    """
    if source.is_relative_to(RUNS):
        return RUNS / source.relative_to(RUNS).parts[0]
    return run_folder()


def _base_of_the_run() -> str:
    given = os.environ.get(FOLDER_VARIABLE)
    record = Path(given) / "run.json" if given else None
    if record is None or not record.exists():
        return USUAL_BASE
    return str(json.loads(record.read_text(encoding="utf-8"))["parameters_file"])


def _relative(path: Path) -> Path:
    return path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path
