"""
Reader of any recorded load by its folder: from our recorder, or published by Geo-Diff's authors.

The published logs are `analysis/logs` in the guide's repository: each folder has `<node>.csv` of
docker stats, and `logs_admin_worker_*` of the autoscaler.
"""

from collections import Counter
from dataclasses import replace
from datetime import date as Date  # noqa: N812 - `date` is the parameter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from runbook_lib.core.errors import NotFoundError
from runbook_lib.core.project import PROJECT, RUNS
from runbook_lib.load.recordings.autoscaler_log import (
    DECISIONS,
    parameters_in_name,
    read_autoscaler_log,
)
from runbook_lib.load.recordings.counters import total_counters
from runbook_lib.load.recordings.node_samples import NodeSamples, read_node
from runbook_lib.load.recordings.schema import (
    COLUMNS,
    SCHEMAS,
    Recording,
    empty_frame,
    read_recording,
)
from runbook_lib.load.recordings.wall_clock import DAY_S, WallClock

DIGITS = 3
"""`docker stats` prints sizes with three digits."""
ASSUMED_DATE = Date(2021, 1, 1)
UNACCOUNTED = 0.05
"""Containers are missing above this share; headers and acknowledgements make up 3 %."""


def open_recording(folder: str, *, runs: Path = RUNS) -> Recording:
    """
    Read a recorded run, in either of the two formats.

    Parameters
    ----------
    folder
        Relative to the project; the folder of a run means its `load`; "" means the newest run
        with one.

    Raises NotFoundError if the folder does not exist, or has no recording; IntegrityError if one
    of its files has another format.
    """
    chosen = (PROJECT / Path(folder).expanduser()) if folder else _newest(runs)
    tables = [place for place in (chosen, chosen / "load") if _holds_tables(place)]
    if tables or any(_log_files(chosen)):
        chosen = tables[0] if tables else chosen
        recording = read_recording(chosen) if tables else read_published_logs(chosen)
        # a path relative to the project is the same on every machine
        name = chosen.relative_to(PROJECT) if chosen.is_relative_to(PROJECT) else chosen
        return replace(recording, source=str(name))
    inside = sorted(chosen.glob("*"))
    deeper = [p.name for p in inside if any(_log_files(p)) or _holds_tables(p)]
    raise NotFoundError(
        f"expected a recorded load in {chosen}; "
        + ("the folder holds none" if chosen.is_dir() else "there is no such folder"),
        evidence=f"in the folder: {', '.join(p.name for p in inside) or 'nothing'}",
        next_step=f"name one of its folders: {', '.join(deeper)}"
        if deeper
        else "run 10_load_test, or name runs/<time>/load, or analysis/logs/experiment_1 of the "
        "guide's repository",
    )


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


def read_published_logs(
    folder: Path | str, *, date: Date | str | None = None, rows_at_most: int = 1_000_000
) -> Recording:
    """
    Read one published experiment; its notes list the rows that were left out, with reasons.

    The logs have no date or time zone: `date` is that of their first row, and their clock is
    assumed to be UTC. More than `rows_at_most` samples are reduced to bins of time
    (`ThinnedSamples`), so that memory does not grow with the length of the files.

    Raises NotFoundError if the folder does not exist, or its files have no sample or decision;
    IntegrityError if a file has another header, more broken rows than good ones, or times that go
    back.
    """
    folder = Path(folder)
    tables, logs = _log_files(folder)
    nodes = [read_node(path, rows_at_most // len(tables)) for path in tables]
    notes = [note for node in nodes for note in node.notes]
    nodes = [node for node in nodes if len(node.samples)]
    decisions, experiment = _read_decisions(logs, notes)
    if not nodes and decisions.is_empty():
        names = ", ".join(sorted(p.name for p in folder.glob("*") if p.is_file())) or "nothing"
        raise NotFoundError(
            f"expected <node>.csv files of docker stats in {folder}; none holds a sample",
            evidence="\n".join([f"in the folder: {names}", *notes]),
            next_step="name a folder such as analysis/logs/experiment_1 of the guide's repository",
        )
    if date is None:
        notes.append(f"the logs carry no date: {ASSUMED_DATE} is assumed, and UTC")
    midnight = pd.Timestamp(date or ASSUMED_DATE, tz="UTC")
    stats = empty_frame("stats")
    if nodes:
        samples, decisions = _share_days(nodes, decisions)
        stats = _as_table("stats", samples, midnight)
        del samples  # as large as the table
    notes += _missing(nodes, logs, stats)
    # early versions of the autoscaler logged the number of waiting messages, and no rate
    waiting = decisions.filter(pl.col("queued").is_not_nan()).rename({"queued": "ready"})
    bin_s = max((node.bin_s for node in nodes), default=0.0)
    return Recording(
        source=str(folder),
        stats=stats,
        queues=_as_table("queues", waiting.with_columns(queue=pl.lit("TASK_QUEUE")), midnight),
        autoscaler=_as_table("autoscaler", decisions, midnight),
        experiment={**experiment, "digits": DIGITS, **({"bin_s": bin_s} if bin_s else {})},
        notes=tuple(notes),
    )


def _log_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """
    Find the files of docker stats in a folder, and those of the autoscaler.
    """
    files = sorted(p for p in folder.glob("*") if p.is_file())
    tables = [p for p in files if p.name.lower().endswith((".csv", ".csv.gz"))]
    return tables, [p for p in files if p not in tables and "admin_worker" in p.name]


def _read_decisions(logs: list[Path], notes: list[str]) -> tuple[pl.DataFrame, dict[str, Any]]:
    # only parameters on which the names of all logs agree
    frames = [pl.DataFrame(schema={**DECISIONS, "time_s": pl.Float64})]
    parameters: dict[str, set[int]] = {}
    for path in logs:
        left_out: Counter[str] = Counter()
        frame = read_autoscaler_log(path, left_out)
        same, clock = np.zeros(len(frame), dtype=np.int32), WallClock(path.name, left_out)
        times = pl.Series(clock.unwrap(frame["clock_s"].to_numpy(), same, end=True))
        notes += [f"{path.name}: {count} {what}" for what, count in left_out.items()]
        if frame.is_empty():
            notes.append(f"{path.name} is left out: no decision with a time")
        frames.append(frame.with_columns(time_s=times).filter(times.is_finite()))
        for name, value in parameters_in_name(path.name).items():
            parameters.setdefault(name, set()).add(value)
    for name, values in parameters.items():
        if len(values) > 1:
            notes.append(f"the logs' names disagree on {name}: {sorted(values)}")
    decisions = pl.concat(frames).sort(pl.col("time_s").round(6), maintain_order=True)
    return decisions, {name: min(values) for name, values in parameters.items() if len(values) == 1}


def _share_days(
    nodes: list[NodeSamples], decisions: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """
    Put all samples and decisions on one time axis, in order of time.

    Each node began within half a day of the first. The decisions are placed on the day with the
    largest overlap with the samples.
    """
    time_s = pl.col("time_s")
    start = nodes[0].samples["time_s"][0]
    shifted = [
        node.samples.with_columns(
            time_s - DAY_S * np.round((node.samples["time_s"][0] - start) / DAY_S),
            pl.col("container").cast(pl.String),
            node=pl.lit(node.name),
        )
        for node in nodes
    ]
    samples = pl.concat(shifted).sort("time_s", maintain_order=True)
    samples = samples.with_columns(
        time_s - DAY_S * (time_s.first() / DAY_S).floor(),
        # `stack_service.1.taskid` is the service `service`
        pl.col("service").cast(pl.String).str.extract(r"^/*(?:[^._]*_)?([^.]+)"),
    )
    if len(decisions):
        earliest, latest = samples["time_s"][0], samples["time_s"][-1]
        days = DAY_S * np.arange(1 + int(latest // DAY_S))
        decided = decisions["time_s"].to_numpy()
        begin, end = decided.min() + days, decided.max() + days
        shared = np.minimum(end, latest) - np.maximum(begin, earliest)
        decisions = decisions.with_columns(time_s + days[int(shared.argmax())])
    return samples, decisions


def _as_table(table: str, rows: pl.DataFrame, midnight: pd.Timestamp) -> pd.DataFrame:
    schema = SCHEMAS[table]
    time = midnight.value // 1000 + (pl.col("time_s") * 1e6).round().cast(pl.Int64)
    columns = dict.fromkeys(set(schema.names) - set(rows.columns), pl.lit(None)) | {"time": time}
    typed = rows.with_columns(**columns).select(schema.names).to_arrow().cast(schema)
    frame: pd.DataFrame = typed.to_pandas()
    return frame


def _missing(nodes: list[NodeSamples], logs: list[Path], stats: pd.DataFrame) -> list[str]:
    names = [node.name for node in nodes]
    numbers = {int(n) for n in (name.rpartition("-")[2] for name in names) if n.isdigit()}
    absent = [f"worker-{n}" for n in range(1, max(numbers, default=0)) if n not in numbers]
    absent += [] if "manager" in names else ["manager"]
    notes = [f"read {len(names)} nodes: {', '.join(names) or 'none'}"]
    notes += [f"{name} has no file: what ran there is missing" for name in absent]
    if not logs:
        notes.append("no logs_admin_worker_*: the autoscaler's decisions are unknown")
    totals = total_counters(stats)
    broker = totals["service"].str.startswith("rabbitmq")
    received = totals.loc[broker, "net_in_bytes"].sum()
    sent = totals.loc[~broker, "net_out_bytes"].sum()
    if sent < (1 - UNACCOUNTED) * received:
        notes.append(
            f"containers are missing from the files: the broker received {received / 1e9:.2f} GB, "
            f"and the containers seen sent {sent / 1e9:.2f} GB: "
            f"{1 - sent / received:.0%} came from others"
        )
    return notes
