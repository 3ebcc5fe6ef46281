"""
Read the logs that the authors of Geo-Diff published (`analysis/logs` of the guide's repository):
`<node>.csv` of docker stats, and `logs_admin_worker_*` of the autoscaler.
"""

from collections import Counter
from datetime import date as Date  # noqa: N812 - `date` is the parameter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from runbook_lib.core.errors import NotFoundError
from runbook_lib.load.recordings.autoscaler_log import parameters_in_name, read_autoscaler_log
from runbook_lib.load.recordings.counters import total_counters
from runbook_lib.load.recordings.node_samples import NodeSamples, read_node
from runbook_lib.load.recordings.schema import SCHEMAS, Recording, empty_frame
from runbook_lib.load.recordings.wall_clock import DAY_S, WallClock

DIGITS = 3
"""`docker stats` prints sizes with three digits."""
ASSUMED_DATE = Date(2021, 1, 1)
TASK_QUEUE = "TASK_QUEUE"
UNACCOUNTED = 0.05
"""Above this share, containers are missing; headers and acknowledgements make up 3 %."""


def read_published_logs(
    folder: Path | str, *, date: Date | str | None = None, rows_at_most: int = 1_000_000
) -> Recording:
    """
    Read one published experiment; its notes say which rows were left out, and why.

    The logs carry no date and no time zone: `date` is that of their first row, and their clock is
    taken as UTC. Of more than `rows_at_most` samples, bins of time are kept (`ThinnedSamples`), so
    that memory does not grow with the length of the files.

    Raises
    ------
    NotFoundError
        The folder does not exist, or none of its files holds a sample or a decision.
    IntegrityError
        A file has another header, more broken rows than good ones, or times that go back.
    """
    folder = Path(folder)
    files = sorted(p for p in folder.iterdir() if p.is_file()) if folder.is_dir() else []
    tables = [p for p in files if p.name.lower().endswith((".csv", ".csv.gz"))]
    logs = [p for p in files if p not in tables and "admin_worker" in p.name]
    nodes = [read_node(path, rows_at_most // len(tables)) for path in tables]
    notes = [note for node in nodes for note in node.notes]
    nodes = [node for node in nodes if len(node.samples)]
    decisions, experiment = _read_decisions(logs, notes)
    if not nodes and decisions.empty:
        names = ", ".join(path.name for path in files) or "nothing"
        raise NotFoundError(
            f"expected <node>.csv files of docker stats in {folder}; none holds a sample",
            evidence="\n".join([f"in the folder: {names}", *notes]),
            next_step="name a folder such as analysis/logs/experiment_1 of the guide's repository",
        )
    if date is None:
        notes.append(f"the logs carry no date: {ASSUMED_DATE} is assumed, and UTC")
    midnight = pd.Timestamp(date or ASSUMED_DATE, tz="UTC")
    stats = _stats(_share_days(nodes, decisions), midnight) if nodes else empty_frame("stats")
    notes += _missing(nodes, logs, stats)
    bin_s = max((node.bin_s for node in nodes), default=0.0)
    return Recording(
        source=str(folder),
        stats=stats,
        queues=_queues(decisions, midnight),
        autoscaler=_as_table("autoscaler", decisions, midnight),
        experiment={**experiment, "digits": DIGITS, **({"bin_s": bin_s} if bin_s else {})},
        notes=tuple(notes),
    )


def _read_decisions(logs: list[Path], notes: list[str]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """
    Read all autoscaler logs, and the parameters on which their names agree.
    """
    frames = []
    parameters: dict[str, set[int]] = {}
    for path in logs:
        left_out: Counter[str] = Counter()
        frame = read_autoscaler_log(path, left_out)
        clock = WallClock(path.name, left_out)
        same = np.zeros(len(frame), dtype=np.int32)
        frame["time_s"] = clock.unwrap(frame["clock_s"].to_numpy(float), same, end=True)
        notes += [f"{path.name}: {count} {what}" for what, count in left_out.items()]
        if frame.empty:
            notes.append(f"{path.name} is left out: no decision with a time")
        frames.append(frame.dropna(subset="time_s"))
        for name, value in parameters_in_name(path.name).items():
            parameters.setdefault(name, set()).add(value)
    for name, values in parameters.items():
        if len(values) > 1:
            notes.append(f"the logs' names disagree on {name}: {sorted(values)}")
    decisions = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    return decisions, {name: min(values) for name, values in parameters.items() if len(values) == 1}


def _share_days(nodes: list[NodeSamples], decisions: pd.DataFrame) -> pl.DataFrame:
    """
    Put all files on one time axis, in order of time.

    Each node began within half a day of the first. The decisions, shifted in place, get the day on
    which they overlap the samples most.
    """
    start = nodes[0].samples["time_s"][0]
    shifted = [
        node.samples.with_columns(
            time_s=pl.col("time_s") - DAY_S * np.round((node.samples["time_s"][0] - start) / DAY_S),
            node=pl.lit(node.name),
            container=pl.col("container").cast(pl.String),
        )
        for node in nodes
    ]
    samples = pl.concat(shifted).sort("time_s", maintain_order=True)
    samples = samples.with_columns(
        pl.col("time_s") - DAY_S * (pl.col("time_s").first() / DAY_S).floor()
    )
    if len(decisions):
        earliest, latest = samples["time_s"][0], samples["time_s"][-1]
        days = DAY_S * np.arange(1 + int(latest // DAY_S))
        begin, end = decisions["time_s"].min() + days, decisions["time_s"].max() + days
        shared = np.minimum(end, latest) - np.maximum(begin, earliest)
        decisions["time_s"] += days[int(shared.argmax())]
    return samples


def _stats(samples: pl.DataFrame, midnight: pd.Timestamp) -> pd.DataFrame:
    # `stack_service.1.taskid` is the service `service`
    service = pl.col("service").cast(pl.String).str.extract(r"^/*(?:[^._]*_)?([^.]+)")
    time = midnight.value // 1000 + (pl.col("time_s") * 1e6).round().cast(pl.Int64)
    table = samples.with_columns(service, time=time).select(SCHEMAS["stats"].names).to_arrow()
    frame: pd.DataFrame = table.cast(SCHEMAS["stats"]).to_pandas()
    return frame


def _queues(decisions: pd.DataFrame, midnight: pd.Timestamp) -> pd.DataFrame:
    """
    Early versions of the autoscaler logged how many messages waited, and no rate.
    """
    if decisions.empty or decisions["queued"].isna().all():
        return empty_frame("queues")
    waiting = decisions.dropna(subset="queued").rename(columns={"queued": "ready"})
    return _as_table("queues", waiting.assign(queue=TASK_QUEUE), midnight)


def _as_table(table: str, frame: pd.DataFrame, midnight: pd.Timestamp) -> pd.DataFrame:
    if frame.empty:
        return empty_frame(table)
    time = midnight + pd.to_timedelta((frame["time_s"] * 1e6).round(), unit="us")
    columns = {name: frame.get(name) for name in SCHEMAS[table].names}
    tidy = pd.DataFrame(columns | {"time": time}).sort_values("time", kind="stable")
    typed: pd.DataFrame = pa.Table.from_pandas(
        tidy, SCHEMAS[table], preserve_index=False, safe=False
    ).to_pandas()
    return typed


def _missing(nodes: list[NodeSamples], logs: list[Path], stats: pd.DataFrame) -> list[str]:
    """
    List what the files lack, as far as the other files show it.
    """
    names = [node.name for node in nodes]
    numbers = {int(n.rpartition("-")[2]) for n in names if n.rpartition("-")[2].isdigit()}
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
