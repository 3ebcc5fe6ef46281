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
from runbook_lib.load.analysis.cost_findings import find_burst
from runbook_lib.load.analysis.load_answer import Answer
from runbook_lib.load.autoscaling.recommendation import recommend, write_parameters
from runbook_lib.load.autoscaling.setting_trials import Trials
from runbook_lib.notebook import parameters, values
from runbook_lib.notebook.templates import find_notebooks

NAME = "recommended.yml"
RECORD = "runbook run <parameter file> --only 10 -p replicas=1,2,4,8"
USUAL_BASE = "params/lab.yml"


@dataclass(frozen=True)
class RecommendedFile:
    """
    `path` is None where nothing is recommended; `command` deploys it, or records
    what it takes.
    """

    finding: Finding
    path: Path | None
    command: str = ""


def write_recommended(answer: Answer, trials: Trials, base: str = "") -> RecommendedFile:
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
        The runner would not take what was written.
    """
    found = find_burst(answer)
    if not answer.is_recommendation or answer.workers is None or answer.rate is None:
        why = answer.limits[0] if answer.limits else "there is no fit"
        return RecommendedFile(Finding(f"what a recommendation needs: {why}"), None, RECORD)
    low, high = answer.workers.low, answer.workers.high
    recommended = recommend(
        workers=answer.chosen,
        sustained_workers=max(1.0, answer.chosen * (found.sustained_share if found else 1.0)),
        tiles_per_s=answer.rate.value,
        per_worker_per_s=answer.rate.value / answer.chosen,
        wait_s=float(answer.recording.experiment.get("wait_s", 2.0)),
        refresh_rate_s=trials.refresh_rate_s,
        reason=f"within 5 % of the best that was measured (95 %: {low:.0f} to {high:.0f})",
    )
    source = PROJECT / answer.recording.source
    before = PROJECT / (base or _base_of_the_run())
    path = write_parameters(
        _folder(source) / NAME,
        before,
        recommended,
        header=f"Recommended by 11_load_analysis, from {_relative(source)}.\n"
        f"All else as in {_relative(before)}.",
    )
    declared = parameters.declared(find_notebooks(NOTEBOOKS))
    parameters.resolve(values.load(path), declared, {})
    was = values.load(before)
    table = pd.DataFrame(
        [
            (name, str(was[name].value) if name in was else "", f"{value.value:g}", value.reason)
            for name, value in recommended.items()
        ],
        columns=["parameter", "before", "recommended", "why"],
    )
    command = f"runbook run {_relative(path)} --only 06"
    return RecommendedFile(Finding(f"Written to {_relative(path)}.", table), path, command)


def _folder(source: Path) -> Path:
    """
    Beside what was recorded only in a run of our own: somebody else's logs stay as they are.
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
