"""
The samples of one machine: its file's rows in order of time, as many as memory allows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from runbook_lib.load.recordings.docker_values import node_name
from runbook_lib.load.recordings.stats_csv import StatsCsv
from runbook_lib.load.recordings.thinning import Samples
from runbook_lib.load.recordings.wall_clock import DISORDER_S, WallClock


@dataclass(frozen=True)
class NodeSamples:
    """
    `samples` has time_s (seconds since the midnight before its first row), and positions in
    `containers` and `services`; `bin_s` is 0 where every sample was kept.
    """

    name: str
    samples: pd.DataFrame
    containers: list[str]
    services: list[str]
    bin_s: float
    notes: list[str]


def read_node(path: Path, rows_at_most: int) -> NodeSamples:
    """
    Read one machine's file; its notes say what was left out.
    """
    file = StatsCsv(path)
    clock = WallClock(path.name, file.left_out)
    kept = Samples(rows_at_most)
    for block in _in_order(file, clock):
        kept.add(block)
    notes = [f"{path.name}: {count} {what}" for what, count in file.left_out.items()]
    if kept.bin_s:
        notes.append(f"{path.name}: {file.rows} samples are kept in bins of {kept.bin_s:g} s")
    return NodeSamples(
        name=node_name(path.name.partition(".")[0]),
        samples=kept.frame(),
        containers=list(file.containers),
        services=list(file.services),
        bin_s=kept.bin_s,
        notes=[*file.notes, *clock.notes, *notes],
    )


def _in_order(file: StatsCsv, clock: WallClock) -> Iterator[pd.DataFrame]:
    """
    Blocks with `time_s`, each after the one before: rows that the next may precede wait for it.
    """
    undated: list[pd.DataFrame] = []
    waiting: list[pd.DataFrame] = []
    for block in _and_end(file.chunks()):
        raw = _joined([*undated, *([] if block is None else [block])])
        times = clock.unwrap(
            raw["clock_s"].to_numpy(), raw["container"].to_numpy(), end=block is None
        )
        undated = [raw.iloc[len(times) :]]
        dated = raw.iloc[: len(times)].drop(columns="clock_s").assign(time_s=times)
        good = np.isfinite(times)
        rows = _joined([*waiting, dated if good.all() else dated[good]])
        if not rows["time_s"].is_monotonic_increasing:
            rows = rows.sort_values("time_s", kind="stable")
        settled = np.inf if block is None else rows["time_s"].max() - 2 * DISORDER_S
        ready = int(rows["time_s"].searchsorted(settled, side="right"))
        waiting = [rows.iloc[ready:]]
        yield rows.iloc[:ready].reset_index(drop=True)


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    some = [frame for frame in frames if len(frame)]
    return some[0] if len(some) == 1 else pd.concat(some or frames)


def _and_end(blocks: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame | None]:
    """
    The blocks, and None after them, if there were any.
    """
    block = None
    for block in blocks:
        yield block
    if block is not None:
        yield None
