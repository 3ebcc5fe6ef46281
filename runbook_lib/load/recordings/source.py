"""
Any recorded load by its folder: from our recorder, or as the authors published it.
"""

from dataclasses import replace
from pathlib import Path

from runbook_lib.core.errors import NotFoundError
from runbook_lib.core.project import PROJECT, RUNS
from runbook_lib.load.recordings.published_logs import read_published_logs
from runbook_lib.load.recordings.schema import COLUMNS, Recording, read_recording


def open_recording(folder: str, *, runs: Path = RUNS) -> Recording:
    """
    Read a recorded run, whichever of the two formats its folder holds.

    Parameters
    ----------
    folder
        Relative to the project; the folder of a run stands for its `load`; "": the newest run that
        has one.

    Raises
    ------
    NotFoundError
        The folder does not exist, or holds no recording.
    IntegrityError
        One of its files has another format.
    """
    chosen = (PROJECT / Path(folder).expanduser()) if folder else _newest(runs)
    for tables in filter(_holds_tables, (chosen, chosen / "load")):
        return _named(read_recording(tables), tables)
    if _holds_logs(chosen):
        return _named(read_published_logs(chosen), chosen)
    inside = sorted(p.name for p in chosen.iterdir()) if chosen.is_dir() else []
    deeper = [name for name in inside if _holds_logs(chosen / name) or _holds_tables(chosen / name)]
    raise NotFoundError(
        f"expected a recorded load in {chosen}; "
        + ("the folder holds none" if chosen.is_dir() else "there is no such folder"),
        evidence=f"in the folder: {', '.join(inside) or 'nothing'}",
        next_step=f"name one of its folders: {', '.join(deeper)}"
        if deeper
        else "run 10_load_test, or name runs/<time>/load, or analysis/logs/experiment_1 of the "
        "guide's repository",
    )


def _named(recording: Recording, folder: Path) -> Recording:
    """
    Name it by its path in the project, which is the same on every machine.
    """
    inside = folder.is_relative_to(PROJECT)
    return replace(recording, source=str(folder.relative_to(PROJECT) if inside else folder))


def _newest(runs: Path) -> Path:
    loads = [folder for folder in sorted(runs.glob("*/load")) if _holds_tables(folder)]
    if not loads:
        raise NotFoundError(
            f"expected a recorded load in {runs}; there is none",
            next_step="run 10_load_test first:  runbook run <parameter file> --only 10",
        )
    return loads[-1]


def _holds_tables(folder: Path) -> bool:
    return any((folder / f"{table}.parquet").exists() for table in COLUMNS)


def _holds_logs(folder: Path) -> bool:
    names = [p.name.lower() for p in folder.iterdir()] if folder.is_dir() else []
    return any(n.endswith((".csv", ".csv.gz")) or "admin_worker" in n for n in names)
