"""
How throughput grows with workers: the Universal Scalability Law, fitted, with honest intervals.

    X(n) = lambda n / (1 + sigma (n - 1) + kappa n (n - 1))

lambda is one worker alone, sigma what they queue for, kappa what they spend on one another. Source:
N. Gunther, Guerrilla Capacity Planning (Springer, 2007), chapter 4.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import nnls
from scipy.stats import f as f_distribution
from scipy.stats import t as t_distribution

from runbook_lib.errors import ParameterError

Numbers: TypeAlias = npt.NDArray[np.float64]

COEFFICIENTS = 3
FEWEST_DEGREES = 2
"""Steps beyond the coefficients; with one, an interval would be wider than what it is about."""

LEVEL = 0.95
NEAR_THE_PEAK = 0.95
SAMPLES = 2000
MISFIT = 0.01


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


@dataclass(frozen=True)
class Scalability:
    """
    What a sweep tells; `law` is None where it tells too little, and `limit` says why.

    `measured` has one row a replica count: replicas, repetitions, tiles_per_s (mean), low, high.
    """

    measured: pd.DataFrame
    points: pd.DataFrame
    law: Law | None
    limit: str

    def __repr__(self) -> str:
        if self.law is None:
            return f"no fit: {self.limit}"
        lines = [f"{name}: {value!r}" for name, value in self.law.coefficients.items()]
        return "\n".join([*lines, f"peak: {self.law.peak!r} workers", *filter(None, [self.limit])])


def curve(terms: Numbers, replicas: Numbers) -> Numbers:
    """
    X(n) for rows of terms and n workers, infinite where they set no bound; shape (rows, n), or
    (n,) for one row.
    """
    per_tile = terms @ _design(replicas).T
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


def fit(points: pd.DataFrame, *, samples: int = SAMPLES, seed: int = 0) -> Scalability:
    """
    Fit the law to steps; columns `replicas` and `tiles_per_s`, one row a repetition.

    Noise is relative, so all is done on logarithms and n / X, in which the law is linear, and
    non-negative least squares find the one best fit. Resampling two or three repetitions knows too
    little of their spread; instead each sample of this bootstrap draws the noise's own size
    (chi-squared, by the degrees of freedom), then steps, then fits anew: Student's interval, for
    whatever is asked of the law.

    Raises
    ------
    ParameterError
        No steps, or such that cannot be.
    """
    checked = _checked(points)
    measured = _measured(checked)
    counts = measured["replicas"].to_numpy(dtype=float)
    degrees = len(checked) - COEFFICIENTS
    limit = ""
    if len(counts) < COEFFICIENTS:
        known = ", ".join(f"{n:g}" for n in counts)
        limit = (
            f"a curve of three coefficients needs three replica counts; measured: {known}. "
            "What was measured is shown, and says nothing of other counts"
        )
    elif degrees < FEWEST_DEGREES:
        limit = (
            f"{len(checked)} steps leave {degrees} to tell noise from effect, and "
            f"{FEWEST_DEGREES} are needed: repeat the sweep"
        )
    if limit:
        return Scalability(measured, checked, None, limit)
    law = _law(checked, measured, samples, np.random.default_rng(seed))
    return Scalability(measured, checked, law, _remarks(law))


def leave_one_out(points: pd.DataFrame) -> pd.DataFrame:
    """
    Predict each replica count from the others; columns: replicas, measured, predicted, low, high,
    inside. Empty where the others are too few for a fit.
    """
    checked = _checked(points)
    rows = []
    for replicas, own in checked.groupby("replicas"):
        others = checked[checked["replicas"] != replicas]
        found = None if others.empty else fit(others)
        if found is None or found.law is None:
            continue
        mean = float(np.exp(np.log(own["tiles_per_s"]).mean()))
        guess = found.law.prediction(float(str(replicas)), len(own))
        rows.append(
            {
                "replicas": replicas,
                "measured": mean,
                "predicted": guess.value,
                "low": guess.low,
                "high": guess.high,
                "inside": guess.low <= mean <= guess.high,
            }
        )
    columns = ["replicas", "measured", "predicted", "low", "high", "inside"]
    return pd.DataFrame(rows, columns=columns)


def _checked(points: pd.DataFrame) -> pd.DataFrame:
    problems = [f"no column {c}" for c in ("replicas", "tiles_per_s") if c not in points.columns]
    if not problems:
        replicas, rate = points["replicas"].astype(float), points["tiles_per_s"].astype(float)
        wrong = points[(replicas < 1) | (replicas % 1 != 0) | ~np.isfinite(rate) | (rate <= 0)]
        problems = [
            f"{row['replicas']} replicas: {row['tiles_per_s']} tiles a second"
            for row in wrong.to_dict("records")
        ]
    if problems or points.empty:
        raise ParameterError(
            "expected steps of a sweep: whole replica counts, each with what it did; "
            f"{'these are not' if problems else 'there are none'}",
            evidence="\n".join(problems),
            next_step="run 10_load_test with replicas: [1, 2, 4, 8], or leave these steps out",
        )
    return points.astype({"replicas": float, "tiles_per_s": float}).reset_index(drop=True)


def _measured(points: pd.DataFrame) -> pd.DataFrame:
    """
    Geometric means; the interval needs two repetitions, and is NaN without.
    """
    rows = []
    for replicas, own in points.groupby("replicas"):
        logs = np.log(own["tiles_per_s"].to_numpy(dtype=float))
        count, mean = len(logs), float(logs.mean())
        reach = np.nan
        if count > 1:
            student = float(t_distribution.ppf((1 + LEVEL) / 2, count - 1))
            reach = student * float(logs.std(ddof=1)) / np.sqrt(count)
        rows.append((replicas, count, *np.exp([mean, mean - reach, mean + reach])))
    columns = ["replicas", "repetitions", "tiles_per_s", "low", "high"]
    return pd.DataFrame(rows, columns=columns).astype({"replicas": int})


def _law(
    points: pd.DataFrame, measured: pd.DataFrame, samples: int, random: np.random.Generator
) -> Law:
    counts = measured["replicas"].to_numpy(dtype=float)
    repeated = measured["repetitions"].to_numpy(dtype=float)
    seen = counts / measured["tiles_per_s"].to_numpy(dtype=float)
    design = _design(counts)
    scale = np.sqrt(repeated) / seen
    for _ in range(3):  # relative errors: the weights follow the fit, and have settled by then
        terms, _ = nnls(design * scale[:, None], seen * scale)
        scale = np.sqrt(repeated) / (design @ terms)
    # without the bounds: around this the noise is drawn, so that a coefficient at its bound is not
    # taken for certain
    free = np.linalg.lstsq(design * scale[:, None], seen * scale)[0]
    centre = design @ free if (design @ free > 0).all() else design @ terms
    within, about = _spread(points, counts, centre)
    degrees = len(points) - COEFFICIENTS
    bounded = _spread(points, counts, design @ terms)[1]
    active = int((terms > 0).sum())
    noise = float(np.sqrt(max(about / degrees, bounded / (len(points) - active))))
    noises = noise * np.sqrt(degrees / random.chisquare(degrees, samples))
    shaken = random.standard_normal((samples, len(counts))) * noises[:, None] / np.sqrt(repeated)
    drawn = (centre * scale * np.exp(shaken)) @ np.linalg.pinv(design * scale[:, None]).T
    pure, lack = len(points) - len(counts), len(counts) - active
    misfit_p = 1.0
    if pure > 0 and lack > 0 and within > 0:
        excess = max(0.0, bounded - within) / lack
        misfit_p = float(f_distribution.sf(excess / (within / pure), lack, pure))
    return Law(terms, drawn, noises, noise, misfit_p, tuple(int(n) for n in counts))


def _spread(points: pd.DataFrame, counts: Numbers, centre: Numbers) -> tuple[float, float]:
    """
    Squares of the logarithms: within the repetitions of a count, and about a curve.
    """
    logs = np.log(points["tiles_per_s"])
    own = logs - logs.groupby(points["replicas"]).transform("mean")
    law = points["replicas"].map(dict(zip(counts, np.log(counts / centre), strict=True)))
    return float((own**2).sum()), float(((logs - law) ** 2).sum())


def _design(replicas: Numbers) -> Numbers:
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


def _remarks(law: Law) -> str:
    remarks = []
    most = max(law.counts)
    if law.peak.value > most:
        remarks.append(f"the peak lies beyond the {most} workers that were measured")
    if law.misfit_p < MISFIT:
        remarks.append(
            f"the law does not describe these steps (lack of fit, p = {law.misfit_p:.2g}): "
            "believe the measured means, not the curve"
        )
    return "; ".join(remarks)
