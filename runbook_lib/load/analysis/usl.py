"""
Throughput as a function of workers: the Universal Scalability Law (USL).

    X(n) = lambda n / (1 + sigma (n - 1) + kappa n (n - 1))

lambda is the throughput of a single worker, sigma the share of serialised work (contention), kappa
the cost of coordination per pair of workers (coherency). Source: N. Gunther, Guerrilla Capacity
Planning (Springer, 2007), chapter 4.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import sem
from scipy.stats import t as t_distribution

Numbers: TypeAlias = npt.NDArray[np.float64]

LEVEL = 0.95
NEAR_THE_PEAK = 0.95
SURE = 0.9
"""A higher probability is not told apart: the samples overstate it by some hundredths."""


@dataclass(frozen=True)
class Interval:
    """
    An estimate and its 95 % confidence interval; infinite means that no bound was found.
    """

    value: float
    low: float
    high: float

    def __repr__(self) -> str:
        return f"{self.value:.4g} (95 %: {self.low:.4g} to {self.high:.4g})"


@dataclass(frozen=True)
class Law:
    """
    The fitted law. `terms` are a, b, c of the linear form n / X(n) = a + b (n - 1) + c n (n - 1),
    none negative; `samples` are such rows drawn from the data's noise, and may be negative (an
    interval cut to the possible range still covers the truth, one drawn within the bounds does
    not); `noises` is the relative noise of one step for each sample; `misfit_p` is the probability
    of such a lack of fit by chance, NaN where nothing tests the fit.
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
        lambda_per_s, sigma, kappa = (n / a if a > 0 else np.inf for n in (1.0, b, c))
        return {
            "lambda_per_s": interval(lambda_per_s, 1 / one),
            "sigma": interval(sigma, np.maximum(two, 0) / one),
            "kappa": interval(kappa, np.maximum(three, 0) / one),
        }

    def throughput(self, replicas: float) -> Interval:
        """
        Tiles a second with a number of workers, by the law.
        """
        return self._throughput(replicas, np.ones_like(self.noises))

    def prediction(self, replicas: float, repetitions: int = 1) -> Interval:
        """
        Predict the mean of further steps, from the law's interval and the steps' own noise.
        """
        draws = np.random.default_rng(1).standard_normal(len(self.samples))
        return self._throughput(replicas, np.exp(self.noises * draws / np.sqrt(repetitions)))

    def _throughput(self, replicas: float, noise: Numbers) -> Interval:
        at = np.array([float(replicas)])
        return interval(float(curve(self.terms, at)[0]), curve(self.samples, at)[:, 0] * noise)

    @property
    def peak(self) -> Interval:
        """
        The number of workers beyond which throughput falls; infinite if it never does.
        """
        return interval(float(_peak(self.terms[None])[0]), _peak(self.samples))

    def enough(self, most: int) -> Interval:
        """
        Return the fewest workers, from 1 to `most`, that are `near_the_best` with a probability of
        90 %, or those with the highest probability. The fewest on the fitted curve alone would be
        too few as often as not: there, one worker less just misses.
        """
        sure = self.near_the_best(most)
        value = (sure >= SURE).argmax() if (sure >= SURE).any() else sure.argmax()
        return interval(float(value) + 1, _near(curve(self.samples, _to(most))).argmax(axis=1) + 1)

    def near_the_best(self, most: int) -> Numbers:
        """
        Return the probability of each number of workers, from 1 to `most`, to reach 95 % of the
        best that 1 to `most` do.
        """
        shares: Numbers = _near(curve(self.samples, _to(most))).mean(axis=0)
        return shares


def curve(terms: Numbers, replicas: Numbers) -> Numbers:
    """
    Compute X(n) for rows of terms and n workers, infinite without a bound; shape (rows, n), or
    (n,) for one row.
    """
    per_tile = terms @ design_of(replicas).T
    bounded = per_tile > 0
    throughput: Numbers = np.where(bounded, replicas / np.where(bounded, per_tile, 1.0), np.inf)
    return throughput


def interval(value: float, samples: Numbers) -> Interval:
    """
    Return the middle 95 % of the samples, widened to include the estimate.
    """
    # by rank, not interpolated: there is no value between a number and infinity
    edges = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.quantile(samples, edges, method="inverted_cdf").tolist()
    return Interval(value, min(low, value), max(high, value))


def mean_interval(values: Numbers) -> tuple[float, float, float]:
    """
    Return the mean of independent values with Student's 95 % interval; NaN for a single value.
    """
    mean, count = float(values.mean()), len(values)
    reach = t_distribution.ppf((1 + LEVEL) / 2, count - 1) * sem(values) if count > 1 else np.nan
    return mean, mean - float(reach), mean + float(reach)


def design_of(replicas: Numbers) -> Numbers:
    """
    Return the three columns in which n / X(n) is linear.
    """
    return np.column_stack([np.ones_like(replicas), replicas - 1, replicas * (replicas - 1)])


def _peak(terms: Numbers) -> Numbers:
    a, b, c = terms.T
    bounded = np.where(c > 0, (a - b) / np.where(c > 0, c, 1.0), np.inf)
    return np.sqrt(np.maximum(np.where(a > b, bounded, 1.0), 1.0))


def _to(most: int) -> Numbers:
    return np.arange(1, most + 1, dtype=float)


def _near(throughput: Numbers) -> npt.NDArray[np.bool_]:
    near: npt.NDArray[np.bool_] = throughput >= NEAR_THE_PEAK * throughput.max(
        axis=1, keepdims=True
    )
    return near
