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
from runbook_lib.load.recordings.names import missing_roles, service_names
from runbook_lib.load.recordings.node_samples import NodeSamples, read_node
from runbook_lib.load.recordings.schema import (
    COLUMNS,
    SCHEMAS,
    Recording,
    empty_frame,
    read_recording,
)
from runbook_lib.load.recordings.wall_clock import DATED_S, DAY_S, WallClock

DIGITS = 3
"""`docker stats` prints sizes with three digits."""
ASSUMED_DATE = Date(2021, 1, 1)
NAMED_AT_MOST = 10
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

    Logs without a date begin on `date`; a clock without a zone is assumed to be UTC. More than
    `rows_at_most` samples are reduced to bins of time (`ThinnedSamples`), so that memory does not
    grow with the length of the files.

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
    stats, day = empty_frame("stats"), None
    if nodes:
        samples, decisions, day = _share_days(nodes, decisions)
        samples = _named(_once(samples, notes), notes)
    if date is None and day is None:
        notes.append(f"the logs carry no date: {ASSUMED_DATE} is assumed, and UTC")
    midnight = pd.Timestamp(date or day or ASSUMED_DATE, tz="UTC")
    if nodes:
        stats = _as_table("stats", samples, midnight)
        del samples  # as large as the table
    notes += _missing(nodes, logs, stats) + _apart(stats)
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
        frames.append(frame.with_columns(time_s=times).filter(times.is_finite()))
        if frame.is_empty():
            notes.append(f"{path.name} is left out: no decision with a time")
            continue
        for name, value in parameters_in_name(path.name).items():
            parameters.setdefault(name, set()).add(value)
    for name, values in parameters.items():
        if len(values) > 1:
            notes.append(f"the logs' names disagree on {name}: {sorted(values)}")
    decisions = pl.concat(frames).sort(pl.col("time_s").round(6), maintain_order=True)
    # the last one in a copy that was cut short lacks what it scaled to
    what = [name for name in decisions.columns if name != "wanted"]
    once = decisions.unique(what, keep="last", maintain_order=True)
    if copies := len(decisions) - len(once):
        notes.append(f"{copies} decisions stand in more than one log: counted once")
    return once, {name: min(values) for name, values in parameters.items() if len(values) == 1}


def _share_days(
    nodes: list[NodeSamples], decisions: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pd.Timestamp | None]:
    """
    Put all samples and decisions on one time axis, in order of time; return also the first day, if
    a node's times have dates.

    Each node without dates began within half a day of the first. The decisions are placed on the
    day with the largest overlap with the samples.
    """
    time_s = pl.col("time_s")
    begins = [node.samples["time_s"][0] for node in nodes]
    start = next((begin for begin in begins if begin >= DATED_S), begins[0])
    shifted = [
        node.samples.with_columns(
            time_s - (0 if begin >= DATED_S else DAY_S * np.round((begin - start) / DAY_S)),
            pl.col("container").cast(pl.String),
            node=pl.lit(node.name),
        )
        for node, begin in zip(nodes, begins, strict=True)
    ]
    samples = pl.concat(shifted).sort("time_s", maintain_order=True)
    midnight = DAY_S * (samples["time_s"][0] // DAY_S)
    samples = samples.with_columns(
        time_s - midnight, service_names(samples["service"].cast(pl.String))
    )
    if len(decisions):
        earliest, latest = samples["time_s"][0], samples["time_s"][-1]
        days = DAY_S * np.arange(1 + int(latest // DAY_S))
        decided = decisions["time_s"].to_numpy()
        begin, end = decided.min() + days, decided.max() + days
        shared = np.minimum(end, latest) - np.maximum(begin, earliest)
        decisions = decisions.with_columns(time_s + days[int(shared.argmax())])
    day = pd.Timestamp(midnight, unit="s") if start >= DATED_S else None
    return samples, decisions, day


def _once(samples: pl.DataFrame, notes: list[str]) -> pl.DataFrame:
    """
    Leave out rows that another file holds, too: a copy, or the end of an older log.
    """
    places = samples.group_by("container").agg(pl.col("node").n_unique())
    doubled = places.filter(pl.col("node") > 1)["container"]
    if doubled.is_empty():
        return samples
    same = [name for name in samples.columns if name not in ("node", "samples")]
    once = samples.unique(same, keep="first", maintain_order=True)
    copies = len(samples) - len(once)
    if not copies:
        return samples
    notes.append(f"{copies} rows are the same in more than one file: counted once")
    # such a container is that of the file with most of its rows
    rows = samples.filter(pl.col("container").is_in(doubled.implode()))
    copied = rows.filter(rows.select(same).is_duplicated())["container"].unique()
    rows = rows.filter(pl.col("container").is_in(copied.implode()))
    homes = rows.group_by("container", "node").len().sort("len").group_by("container").last()
    home = pl.col("container").replace_strict(
        homes["container"], homes["node"], default=pl.col("node")
    )
    return once.with_columns(node=home)


def _named(samples: pl.DataFrame, notes: list[str]) -> pl.DataFrame:
    """
    Give each container one name, its first: `docker rename` makes no new container.
    """
    owners = samples.select("node", "container", "service").unique(maintain_order=True)
    names = owners.group_by("node", "container", maintain_order=True).agg("service")
    renamed = names.filter(pl.col("service").list.len() > 1)
    for node, container, services in renamed.head(NAMED_AT_MOST).iter_rows():
        notes.append(
            f"container {container[:12]} on {node} was renamed: {', '.join(services[:5])}; "
            f"counted as {services[0]}"
        )
    if renamed.is_empty():
        return samples
    return samples.with_columns(pl.col("service").first().over("node", "container"))


def _as_table(table: str, rows: pl.DataFrame, midnight: pd.Timestamp) -> pd.DataFrame:
    schema = SCHEMAS[table]
    time = midnight.value // 1000 + (pl.col("time_s") * 1e6).round().cast(pl.Int64)
    columns = dict.fromkeys(set(schema.names) - set(rows.columns), pl.lit(None)) | {"time": time}
    typed = rows.with_columns(**columns).select(schema.names).to_arrow().cast(schema)
    frame: pd.DataFrame = typed.to_pandas()
    return frame


def _missing(nodes: list[NodeSamples], logs: list[Path], stats: pd.DataFrame) -> list[str]:
    names = [node.name for node in nodes]
    absent = missing_roles(names)
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


def _apart(stats: pd.DataFrame) -> list[str]:
    """
    Note the nodes whose samples share no time with those of any other: their clocks may differ.
    """
    spans = stats.groupby("node")["time"].agg(["min", "max"])
    notes = []
    for node, (began, ended) in spans.iterrows():
        others = spans.drop(node)
        meets = (others["min"] <= ended) & (others["max"] >= began)
        if len(others) and not meets.any():
            off_s = (began - others["min"]).abs().min().total_seconds()
            notes.append(
                f"{node} was sampled from {began:%H:%M:%S} to {ended:%H:%M:%S}, when no other node "
                f"was: its clock may be in another time zone ({off_s / 3600:.2f} h away)"
            )
    return notes[:NAMED_AT_MOST]
