"""
How throughput grows with workers: the Universal Scalability Law, fitted, with honest intervals.

    X(n) = lambda n / (1 + sigma (n - 1) + kappa n (n - 1))

lambda is one worker alone, sigma what they queue for, kappa what they spend on one another. Source:
N. Gunther, Guerrilla Capacity Planning (Springer, 2007), chapter 4.
"""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[np.float64]

LEVEL = 0.95
NEAR_THE_PEAK = 0.95


@dataclass(frozen=True)
class Interval:
    """
    An estimate and where the truth lies with 95 % confidence; infinite: no bound was found.
    """

    value: float
    low: float
    high: float

    def __repr__(self) -> str:
        return f"{self.value:.4g} (95 %: {self.low:.4g} to {self.high:.4g})"


class Throughput(Protocol):
    """
    Whatever knows the tiles a second of so many workers.
    """

    def throughput(self, replicas: float) -> Interval: ...


@dataclass(frozen=True)
class Law:
    """
    The fitted law. `terms` are those of n / X(n) = a + b (n - 1) + c n (n - 1), in which it is
    linear, none below zero; `samples` are such rows drawn as the data's noise allows, which may be
    (an interval cut to what can be still covers the truth, one drawn within the bounds does not);
    `noises` is the relative noise of one step that goes with each.
    """

    terms: Numbers
    samples: Numbers
    noises: Numbers
    noise: float
    misfit_p: float
    counts: tuple[int, ...]

    @property
    def coefficients(self) -> dict[str, Interval]:
        """
        lambda_per_s, sigma and kappa.
        """
        (a, b, c), (one, two, three) = self.terms.tolist(), self.samples.T
        one = np.maximum(one, np.finfo(float).tiny)
        return {
            "lambda_per_s": interval(_divided(1.0, a), 1 / one),
            "sigma": interval(_divided(b, a), np.maximum(two, 0) / one),
            "kappa": interval(_divided(c, a), np.maximum(three, 0) / one),
        }

    def throughput(self, replicas: float) -> Interval:
        """
        Tiles a second of so many workers, as the law has it.
        """
        at = np.array([float(replicas)])
        return interval(float(curve(self.terms, at)[0]), curve(self.samples, at)[:, 0])

    def prediction(self, replicas: float, repetitions: int = 1) -> Interval:
        """
        What the mean of so many further steps would show: the law's interval and the steps' noise.
        """
        at = np.array([float(replicas)])
        draws = np.random.default_rng(1).standard_normal(len(self.samples))
        shaken = curve(self.samples, at)[:, 0] * np.exp(
            self.noises * draws / np.sqrt(max(1, repetitions))
        )
        return interval(float(curve(self.terms, at)[0]), shaken)

    @property
    def peak(self) -> Interval:
        """
        The number of workers beyond which throughput falls; infinite where it never does.
        """
        return interval(float(_peak(self.terms[None])[0]), _peak(self.samples))

    def enough(self, most: int) -> Interval:
        """
        The fewest workers, from 1 to `most`, within 5 % of the best that 1 to `most` reach.
        """
        counts = np.arange(1, most + 1, dtype=float)
        return interval(
            float(_enough(curve(self.terms[None], counts))[0]), _enough(curve(self.samples, counts))
        )


def curve(terms: Numbers, replicas: Numbers) -> Numbers:
    """
    X(n) for rows of terms and n workers, infinite where they set no bound; shape (rows, n), or
    (n,) for one row.
    """
    per_tile = terms @ design_of(replicas).T
    bounded = per_tile > 0
    found: Numbers = np.where(bounded, replicas / np.where(bounded, per_tile, 1.0), np.inf)
    return found


def interval(value: float, samples: Numbers) -> Interval:
    """
    The 95 % of the samples in the middle, widened to the estimate where it lies outside.
    """
    # by rank and not interpolated: between a number and infinity there is nothing
    low, high = np.quantile(
        samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf"
    ).tolist()
    return Interval(value, min(low, value), max(high, value))


def design_of(replicas: Numbers) -> Numbers:
    """
    The three columns in which n / X(n) is linear.
    """
    return np.column_stack([np.ones_like(replicas), replicas - 1, replicas * (replicas - 1)])


def _peak(terms: Numbers) -> Numbers:
    a, b, c = terms.T
    bounded = np.where(c > 0, (a - b) / np.where(c > 0, c, 1.0), np.inf)
    return np.sqrt(np.maximum(np.where(a > b, bounded, 1.0), 1.0))


def _divided(above: float, below: float) -> float:
    return above / below if below > 0 else np.inf


def _enough(throughput: Numbers) -> Numbers:
    best = throughput.max(axis=1, keepdims=True)
    first: Numbers = (throughput >= NEAR_THE_PEAK * best).argmax(axis=1).astype(float) + 1
    return first
