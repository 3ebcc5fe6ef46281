"""
The samples of one machine in order of time, thinned out if there are too many for memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import polars as pl

from runbook_lib.load.recordings.counters import COUNTERS, Unrolled
from runbook_lib.load.recordings.names import node_name
from runbook_lib.load.recordings.stats_csv import StatsCsv
from runbook_lib.load.recordings.wall_clock import DISORDER_S, WallClock

MEANS = ["cpu_percent", "memory_bytes"]
HIGHEST = ["memory_limit_bytes", "pids", *COUNTERS]
FIRST_BIN_S = 10.0
LONGEST_BIN_S = 86_400.0


@dataclass(frozen=True)
class NodeSamples:
    """
    One machine's samples: time_s (seconds since the midnight before its first row, or since the
    epoch if its times have a date), container, service, and the measures; `bin_s` is 0 if every
    sample was kept.
    """

    name: str
    samples: pl.DataFrame
    bin_s: float
    notes: list[str]


def read_node(path: Path, rows_at_most: int) -> NodeSamples:
    """
    Read one machine's file; the notes list what was left out.
    """
    file = StatsCsv(path)
    clock = WallClock(path.name, file.left_out)
    kept = ThinnedSamples(rows_at_most)
    for block in _in_order(file, clock):
        kept.add(block)
    notes = [f"{path.name}: {count} {reason}" for reason, count in file.left_out.items()]
    if kept.bin_s:
        notes.append(f"{path.name}: {file.rows} samples are kept in bins of {kept.bin_s:g} s")
    return NodeSamples(
        name=node_name(path.name),
        samples=kept.frame(),
        bin_s=kept.bin_s,
        notes=[*file.notes, *clock.notes, *notes],
    )


def _in_order(file: StatsCsv, clock: WallClock) -> Iterator[pl.DataFrame]:
    """
    Yield blocks with `time_s`, in order: rows are held back until no earlier row can follow.
    """
    undated: list[pl.DataFrame] = []
    waiting: list[pl.DataFrame] = []
    for block in chain(file.blocks(), [None]):
        blocks = undated if block is None else [*undated, block]
        if not blocks:
            return
        raw = pl.concat(blocks)
        who = raw["container"].to_physical().to_numpy()
        times = clock.unwrap(raw["clock_s"].to_numpy(), who, end=block is None)
        undated = [raw[len(times) :]]
        dated = raw[: len(times)].drop("clock_s").with_columns(time_s=pl.Series(times))
        rows = pl.concat([*waiting, dated.filter(pl.col("time_s").is_finite())])
        if not rows["time_s"].is_sorted():
            rows = rows.sort("time_s", maintain_order=True)
        ready = len(rows)
        if block is not None and ready:
            settled = rows["time_s"][-1] - 2 * DISORDER_S
            ready = int(rows["time_s"].search_sorted(settled, side="right"))
        waiting = [rows[ready:]]
        yield rows[:ready]


class ThinnedSamples:
    """
    Samples of one file, limited to about `rows_at_most` rows.

    All samples are kept while they are few. Otherwise each container has one row per bin of time:
    the means of CPU and memory, the highest of the rest, at the time of its last sample. Its
    counters continue over restarts, so that totals do not depend on the bins. Once the bins are a
    day wide, memory grows only with the number of containers.
    """

    def __init__(self, rows_at_most: int) -> None:
        self.rows_at_most = rows_at_most
        self.bin_s = 0.0
        self._binned: list[pl.DataFrame] = []
        self._fresh: list[pl.DataFrame] = []
        self._counters = Unrolled(len(COUNTERS))

    def add(self, block: pl.DataFrame) -> None:
        """
        Add a block in order of time: time_s, container (categories), service, and the measures.
        """
        self._fresh.append(block)
        if sum(map(len, self._binned + self._fresh)) > self.rows_at_most:
            self._thin_out()

    def frame(self) -> pl.DataFrame:
        """
        Return the kept samples, in order of time.
        """
        if self.bin_s:
            self._thin_out()
        kept = pl.concat(self._binned + self._fresh or [pl.DataFrame({"time_s": []})])
        return kept.sort("time_s", maintain_order=True)

    def _thin_out(self) -> None:
        if self._fresh:
            fresh = pl.concat(self._fresh)
            owner = fresh["container"].to_physical().to_numpy()
            counted = self._counters.add(owner, *(fresh[name].to_numpy() for name in COUNTERS))
            columns = zip(COUNTERS, counted, strict=True)
            series = (pl.Series(name, values, nan_to_null=True) for name, values in columns)
            self._binned.append(fresh.with_columns(*series, samples=1.0))
            self._fresh = []
        self.bin_s = self.bin_s or FIRST_BIN_S
        kept = _in_bins(pl.concat(self._binned), self.bin_s)
        while len(kept) > self.rows_at_most / 2 and self.bin_s < LONGEST_BIN_S:
            self.bin_s *= 2
            kept = _in_bins(kept, self.bin_s)
        self._binned = [kept]


def _in_bins(samples: pl.DataFrame, bin_s: float) -> pl.DataFrame:
    """
    Merge the rows of each container and bin; `samples` is the number of merged rows.
    """
    ids = pl.col("container").to_physical().cast(pl.Int64)
    key = (pl.col("time_s") / bin_s).floor().cast(pl.Int64) * (ids.max() + 1) + ids
    weight = pl.col("samples")
    binned = (
        samples.with_columns(pl.col(MEANS) * weight)
        .group_by(key.alias("bin"), maintain_order=True)
        .agg(
            pl.col("container", "service").last(),
            pl.col("time_s", *HIGHEST).max(),
            pl.col(MEANS).mean() / weight.mean(),
            weight.sum(),
        )
    )
    return binned.select(samples.columns)
