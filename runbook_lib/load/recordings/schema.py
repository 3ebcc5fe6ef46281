"""
The schema of a recorded load, written by the recorder and returned by every reader.

A recorded run is a folder with `experiment.json` and a Parquet file for each table below. Times are
UTC. Every measurement is a float64: NaN means "not measured", and whole numbers are exact up to
2^53. A counter only grows during its owner's life, and starts at zero with it.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from runbook_lib.core.errors import IntegrityError, NotFoundError

_NOTED_AT_MOST = 50
_LARGEST = 1_000_000  # characters of experiment.json; one of ours has a thousand
TIME = pa.timestamp("us", tz="UTC")
NAME = pa.string()
NUMBER = pa.float64()
COUNT = pa.int64()

COLUMNS: dict[str, dict[str, tuple[pa.DataType, str]]] = {
    "stats": {
        "time": (TIME, "when it was sampled"),
        "node": (NAME, "role of the instance: manager, worker-1 ..."),
        "service": (NAME, "name without the stack's: worker, updater, dealer ..."),
        "container": (NAME, "short id"),
        "cpu_percent": (NUMBER, "100 is one CPU"),
        "memory_bytes": (NUMBER, "in use"),
        "memory_limit_bytes": (NUMBER, "of the container"),
        "net_in_bytes": (NUMBER, "counter since the container started"),
        "net_out_bytes": (NUMBER, "counter since the container started"),
        "block_in_bytes": (NUMBER, "counter since the container started"),
        "block_out_bytes": (NUMBER, "counter since the container started"),
        "pids": (NUMBER, "processes and threads"),
    },
    "queues": {
        "time": (TIME, "when it was sampled"),
        "queue": (NAME, "name in RabbitMQ"),
        "ready": (NUMBER, "messages that wait for a consumer"),
        "unacknowledged": (NUMBER, "messages at a consumer"),
        "published": (NUMBER, "messages, counter since the broker started"),
        "delivered": (NUMBER, "messages, counter since the broker started"),
        "acknowledged": (NUMBER, "messages, counter since the broker started"),
        "consumers": (NUMBER, "connected to the queue"),
    },
    "autoscaler": {
        "time": (TIME, "when it decided"),
        "published_per_s": (NUMBER, "tasks that entered the queue; NaN while it had no broker"),
        "load": (NUMBER, "published_per_s / (running x QTY_TASK)"),
        "light": (NAME, "GREY, GREEN, YELLOW or RED"),
        "running": (NUMBER, "replicas that it counted"),
        "wanted": (NUMBER, "replicas after its decision"),
        "batch": (NUMBER, "tasks that the dealer sends at a time"),
    },
    "workers": {
        "time": (TIME, "when the worker reported it"),
        "task": (NAME, "the Swarm task that is this worker"),
        "node": (NAME, "where it runs"),
        "tiles_done": (NUMBER, "counter since that worker started"),
    },
    "events": {
        "time": (TIME, "by the clock of the engine that reported it"),
        "node": (NAME, "where it happened"),
        "kind": (NAME, "container, service, node ..."),
        "action": (NAME, "start, die, oom, update ..."),
        "name": (NAME, "of the container, service or node"),
    },
    "latencies": {
        "time": (TIME, "when the updater reported the results of its last seconds"),
        "node": (NAME, "where the updater runs"),
        "from_ms": (
            NUMBER,
            "bucket: from publishing the task to the file; NaN for no usable stamp",
        ),
        "below_ms": (NUMBER, "end of the bucket; NaN for no usable stamp"),
        "results": (NUMBER, "in the bucket, since the updater's report before"),
    },
    "steps": {
        "step": (COUNT, "position in the sweep, from 0"),
        "repetition": (COUNT, "of this replica count, from 0"),
        "replicas": (COUNT, "workers requested"),
        "began": (TIME, "the replica count was requested"),
        "steady_from": (TIME, "warm-up was over; NaT where it never was"),
        "ended": (TIME, "the step's last sample"),
    },
}
"""Each table's columns: type, and meaning with unit."""

SCHEMAS: dict[str, pa.Schema] = {
    table: pa.schema([(name, kind) for name, (kind, _) in columns.items()])
    for table, columns in COLUMNS.items()
}


def empty_frame(table: str) -> pd.DataFrame:
    """
    Return a table with no rows, and with its columns and dtypes.
    """
    frame: pd.DataFrame = SCHEMAS[table].empty_table().to_pandas()
    return frame


@dataclass(frozen=True)
class Recording:
    """
    One recorded load; a table that was not recorded is empty, for a reason in `notes`.
    """

    source: str
    stats: pd.DataFrame = field(default_factory=lambda: empty_frame("stats"))
    queues: pd.DataFrame = field(default_factory=lambda: empty_frame("queues"))
    autoscaler: pd.DataFrame = field(default_factory=lambda: empty_frame("autoscaler"))
    workers: pd.DataFrame = field(default_factory=lambda: empty_frame("workers"))
    events: pd.DataFrame = field(default_factory=lambda: empty_frame("events"))
    latencies: pd.DataFrame = field(default_factory=lambda: empty_frame("latencies"))
    steps: pd.DataFrame = field(default_factory=lambda: empty_frame("steps"))
    experiment: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        rows = ", ".join(f"{len(getattr(self, t))} {t}" for t in COLUMNS if len(getattr(self, t)))
        lines = [f"{self.source}: {rows or 'nothing recorded'}"]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def read_recording(folder: Path | str) -> Recording:
    """
    Read the Parquet files of a folder (or folders of parts), and `experiment.json`.

    A missing or truncated file is left out, with a note.

    Raises NotFoundError if there is no such folder, or no recorded table in it; IntegrityError if
    a table lacks columns, or has other types.
    """
    folder = Path(folder)
    frames: dict[str, pd.DataFrame] = {}
    notes = []
    for table in COLUMNS:
        path = folder / f"{table}.parquet"
        try:
            read = pq.read_table(path)
        except FileNotFoundError:
            notes.append(f"{path.name} is not there: not recorded")
        except (pa.ArrowException, OSError, ValueError) as error:  # its writer was killed, say
            notes.append(f"{path.name} is left out, it cannot be read: {error}".splitlines()[0])
        else:
            frames[table] = _as_frame(table, read, path)
    if not frames:
        names = ", ".join(sorted(p.name for p in folder.glob("*"))) or "nothing"
        raise NotFoundError(
            f"expected a recorded run in {folder}; it holds no table that can be read",
            evidence="\n".join([f"in the folder: {names}", *notes]),
            next_step="run 10_load_test, or name the folder runs/<time>/load of a run",
        )
    experiment = _read_experiment(folder / "experiment.json", notes)
    notes += _gaps(experiment.get("recorder"))
    return Recording(source=str(folder), experiment=experiment, notes=tuple(notes), **frames)


def _read_experiment(path: Path, notes: list[str]) -> dict[str, Any]:
    try:
        with path.open(encoding="utf-8") as file:
            read = json.loads(file.read(_LARGEST))
    except FileNotFoundError:
        notes.append("experiment.json is not there: the parameters of the run are unknown")
    except (OSError, ValueError, RecursionError) as error:
        notes.append(f"experiment.json is left out, it cannot be read: {error}")
    else:
        if isinstance(read, dict):
            return read
        notes.append("experiment.json is left out: it holds no parameters by name")
    return {}


def _gaps(recorder: object) -> list[str]:
    """
    Note the sources that a recorder lost: what they say ends, or has gaps.
    """
    sources = recorder.items() if isinstance(recorder, dict) else ()
    notes = []
    for source, told in sources:
        counts = told if isinstance(told, dict) else {}
        lost, trouble = counts.get("lost"), str(counts.get("trouble") or "").splitlines()
        if (isinstance(lost, int | float) and lost > 0) or trouble:
            reason = f": {trouble[0][:200]}" if trouble else ""
            notes.append(
                f"{str(source)[:100]}: {lost} samples were lost of "
                f"{counts.get('samples', 'an unknown number')} taken{reason}"
            )
    return notes[:_NOTED_AT_MOST]


def _as_frame(table: str, read: pa.Table, path: Path) -> pd.DataFrame:
    wanted = SCHEMAS[table]
    missing = [name for name in wanted.names if name not in read.column_names]
    problem = f"missing: {', '.join(missing)}"
    if not missing:
        try:
            frame: pd.DataFrame = read.select(wanted.names).cast(wanted).to_pandas()
        except (ValueError, pa.ArrowException) as error:
            problem = str(error)
        else:
            return frame
    raise IntegrityError(
        f"expected the columns of {table} in {path}; it has other columns or types",
        evidence=f"{problem}\nits columns: {', '.join(read.column_names)}",
        next_step="name a folder that 10_load_test of this version recorded",
    )
