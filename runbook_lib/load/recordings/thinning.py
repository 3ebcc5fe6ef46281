"""
Samples in bounded memory: as they are while they are few, in bins of time when they are many.
"""

import numpy as np
import pandas as pd

from runbook_lib.load.recordings.counters import COUNTERS, Unrolled

MEANS = ["cpu_percent", "memory_bytes"]
HIGHEST = ["memory_limit_bytes", "pids", *COUNTERS]
FIRST_BIN_S = 10.0
LONGEST_BIN_S = 86_400.0


class Samples:
    """
    Blocks of one file's samples, of which at most about `rows_at_most` rows are kept.

    A row of a bin is one container's: the means of CPU and memory, the highest of the rest, at the
    time of its last sample. Its counters go on over restarts, so that no total depends on the bins.
    The memory grows with the number of containers only, once the bins are a day wide.
    """

    def __init__(self, rows_at_most: int) -> None:
        self.rows_at_most = rows_at_most
        self.bin_s = 0.0
        self._frames: list[pd.DataFrame] = []
        self._rows = 0
        self._counters = Unrolled(len(COUNTERS))

    def add(self, block: pd.DataFrame) -> None:
        """
        Take a block: time_s, container and service as numbers, and the measures, in order of time.
        """
        self._frames.append(block)
        self._rows += len(block)
        if self._rows > self.rows_at_most:
            self._thin_out()

    def frame(self) -> pd.DataFrame:
        """
        What was kept, in order of time.
        """
        if not self._frames:
            return pd.DataFrame()
        if self.bin_s:
            self._thin_out()
        kept = pd.concat(self._frames, ignore_index=True).drop(columns="samples", errors="ignore")
        return kept.sort_values("time_s", kind="stable", ignore_index=True)

    def _thin_out(self) -> None:
        thin = [block for block in self._frames if "samples" in block]
        fresh = [block for block in self._frames if "samples" not in block]
        if fresh:
            block = pd.concat(fresh, ignore_index=True)
            who = block["container"].to_numpy()
            counted = self._counters.add(who, *(block[name].to_numpy() for name in COUNTERS))
            thin.append(block.assign(**dict(zip(COUNTERS, counted, strict=True)), samples=1.0))
        kept = pd.concat(thin, ignore_index=True)
        self.bin_s = self.bin_s or FIRST_BIN_S
        kept = _in_bins(kept, self.bin_s)
        while len(kept) > self.rows_at_most / 2 and self.bin_s < LONGEST_BIN_S:
            self.bin_s *= 2
            kept = _in_bins(kept, self.bin_s)
        self._frames, self._rows = [kept], len(kept)


def _in_bins(samples: pd.DataFrame, bin_s: float) -> pd.DataFrame:
    """
    One row for each container and bin; `samples` says how many rows it stands for.
    """
    bins = np.floor(samples["time_s"] / bin_s).astype(np.int64)
    keys = bins * (int(samples["container"].max()) + 1) + samples["container"]
    weighted = samples.assign(
        **{name: samples[name] * samples["samples"] for name in MEANS}
    ).groupby(keys.to_numpy(), sort=False)
    sums = weighted[[*MEANS, "samples"]].sum(min_count=1)
    for name in MEANS:
        sums[name] /= sums["samples"]
    rest = weighted[["time_s", "container", "service", *HIGHEST]].max()
    return pd.concat([rest, sums], axis=1).reset_index(drop=True)
