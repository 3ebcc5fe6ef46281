"""
The steady part of a run: the part after the warm-up that gives the most certain mean.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

BATCH = 5
"""Readings in a batch: their means hardly depend on each other."""
FEWEST_BATCHES = 8
DRIFT_SHARE = 0.1
DRIFT_ERRORS = 3.0


@dataclass(frozen=True)
class SteadyState:
    """
    The mean rate between two times, with its standard error (of batch means).
    """

    began: pd.Timestamp
    ended: pd.Timestamp
    mean: float
    standard_error: float

    @property
    def duration_s(self) -> float:
        return float((self.ended - self.began).total_seconds())


def find_steady_state(rates: pd.Series) -> SteadyState | None:
    """
    Cut the warm-up and the end off an even series of rates, indexed by time.

    MSER-5 (White, "An effective truncation heuristic for bias reduction in simulation output",
    1997), first from the front and then from the back: of the cuts that leave half of the series,
    the one with the smallest standard error of the mean. None where a series is too short, has
    holes, or where what is left still drifts: its halves differ by a tenth, and by more than chance
    explains (Geweke's test).
    """
    whole = len(rates) // BATCH
    if whole < FEWEST_BATCHES or not np.isfinite(rates.to_numpy(float)).all():
        return None
    batches = rates.to_numpy(float)[: whole * BATCH].reshape(whole, BATCH).mean(axis=1)
    spare = whole // 2
    first = _best_cut(batches, spare)
    last = whole - _best_cut(batches[first:][::-1], spare - first)
    kept = batches[first:last]
    if _drifts(kept):
        return None
    width = rates.index[1] - rates.index[0]
    return SteadyState(
        began=rates.index[first * BATCH],
        ended=rates.index[last * BATCH - 1] + width,
        mean=float(kept.mean()),
        standard_error=float(kept.std(ddof=1) / np.sqrt(len(kept))),
    )


def _best_cut(batches: npt.NDArray[np.float64], spare: int) -> int:
    """
    How many batches to leave out at the front, of those that can be spared.
    """
    errors = [batches[cut:].var() / (len(batches) - cut) for cut in range(spare + 1)]
    return int(np.argmin(errors))


def _drifts(batches: npt.NDArray[np.float64]) -> bool:
    early, late = np.array_split(batches, 2)
    chance = np.sqrt(early.var(ddof=1) / len(early) + late.var(ddof=1) / len(late))
    apart = abs(late.mean() - early.mean())
    return bool(apart > DRIFT_SHARE * abs(batches.mean()) and apart > DRIFT_ERRORS * chance)
