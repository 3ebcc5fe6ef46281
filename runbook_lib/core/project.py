"""
The folders of the project, and the folder in `runs/` that each run writes into.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from runbook_lib.core.errors import AccessError

PROJECT = Path(__file__).resolve().parents[2]
NOTEBOOKS = PROJECT / "notebooks"
GEO_DIFF = PROJECT / "stacks" / "geo-diff"
RUNS = PROJECT / "runs"

FOLDER_VARIABLE = "RUNBOOK_RUN_FOLDER"
"""A kernel's environment variable with the folder of the headless run, for notebooks' files."""


def run_folder() -> Path:
    """
    Return the folder of the headless run, or a new folder in an interactive notebook.

    Raises AccessError if a new folder cannot be created.
    """
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else new_folder(RUNS)


def new_folder(runs: Path, suffix: str = "") -> Path:
    """
    Make the folder of a run, named by the time in UTC.

    Raises AccessError if it cannot be created.
    """
    name = f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}Z"
    taken = len(list(runs.glob(f"{name}*"))) if runs.is_dir() else 0
    folder = runs / (name + f".{taken}" * bool(taken) + suffix)
    with writable(runs):
        folder.mkdir(parents=True)
    return folder


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """
    Turn a refused write into an AccessError with a next step.
    """
    try:
        yield
    except OSError as error:
        raise AccessError(
            f"cannot write into {folder}",
            evidence=str(error),
            next_step=f"take ownership of it:  sudo chown -R $(id -un) {folder}",
        ) from error
