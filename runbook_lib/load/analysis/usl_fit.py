"""
The Universal Scalability Law, fitted to the steps of a sweep.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import nnls
from scipy.stats import binom
from scipy.stats import f as f_distribution

from runbook_lib.core.errors import ParameterError
from runbook_lib.load.analysis.usl import (
    LEVEL,
    NEAR_THE_PEAK,
    Interval,
    Law,
    Numbers,
    design_of,
    mean_interval,
)

COEFFICIENTS = 3
FEWEST_DEGREES = 2
"""Number of steps beyond the coefficients; with one, intervals would exceed the estimates."""

MISFIT = 0.01
"""Below this probability of such a lack of fit, the law does not describe the steps."""
FINEST = 0.001
"""A step is never known better: repetitions that agree to the digit were rounded."""


@dataclass(frozen=True)
class UslFit:
    """
    The fit of a sweep; `law` is None if there are too few steps, with the reason in `limit`.

    `measured` has one row per replica count: replicas, repetitions, tiles_per_s (mean), low, high.
    """

    measured: pd.DataFrame
    points: pd.DataFrame
    law: Law | None
    limit: str

    @property
    def follows_law(self) -> bool:
        """
        Whether there is a law, and it describes the steps.
        """
        return self.law is not None and not self.law.misfit_p < MISFIT

    def throughput(self, replicas: float) -> Interval:
        """
        Return tiles per second with a number of workers: by the law, and as measured where there
        is none that describes the steps. Raises ParameterError if neither is known.
        """
        own = self.measured[self.measured["replicas"] == replicas]
        if self.law is not None and (self.follows_law or own.empty):
            return self.law.throughput(replicas)
        if own.empty:
            raise ParameterError(
                f"expected a number of workers that was measured; {replicas:g} was not",
                evidence=f"measured: {', '.join(str(n) for n in self.measured['replicas'])}",
                next_step="record a sweep of three replica counts or more, repeated",
            )
        mean = own["tiles_per_s"].iloc[0]
        low, high = own[["low", "high"]].fillna(mean).iloc[0]
        return Interval(float(mean), float(low), float(high))

    def beyond(self, workers: int) -> str:
        """
        Say what more workers than these add, as far as more were measured.
        """
        more = [int(n) for n in self.measured["replicas"] if n > workers]
        if not more:
            return "these are the most that were measured, so more may do more"
        best = max(more, key=lambda n: self.throughput(n).value)
        gain = self.throughput(best).value / self.throughput(workers).value - 1
        if gain < 1 / NEAR_THE_PEAK - 1:
            return f"more, up to the {max(more)} measured, add {max(0.0, gain):.0%} at most"
        return f"{best} workers do {gain:.0%} more"

    def __repr__(self) -> str:
        if self.law is None:
            return f"no fit: {self.limit}"
        lines = [f"{name}: {value!r}" for name, value in self.law.coefficients.items()]
        return "\n".join([*lines, f"peak: {self.law.peak!r} workers", *filter(None, [self.limit])])


def fit_usl(points: pd.DataFrame, *, samples: int = 2000) -> UslFit:
    """
    Fit the law to steps; columns `replicas` and `tiles_per_s`, one row per repetition.

    Noise is relative, so the fit works on logarithms and on n / X, in which the law is linear, and
    non-negative least squares find the one best fit. Resampling two or three repetitions
    underestimates their spread; instead each sample of this bootstrap draws the size of the noise
    (chi-squared, by the degrees of freedom), then steps, then fits again: Student's interval, for
    any figure derived from the law.

    Raises ParameterError for no steps, or impossible ones.
    """
    checked = _checked(points)
    measured = _measured(checked)
    counts = measured["replicas"].to_numpy(dtype=float)
    degrees = len(checked) - COEFFICIENTS
    limit = ""
    if len(counts) < COEFFICIENTS:
        limit = (
            "a curve of three coefficients needs three replica counts; measured: "
            f"{', '.join(f'{n:g}' for n in counts)}. This says nothing about other counts"
        )
    elif degrees < FEWEST_DEGREES:
        limit = (
            f"{len(checked)} steps leave {degrees} degrees of freedom for the noise, and "
            f"{FEWEST_DEGREES} are needed: repeat the sweep"
        )
    if limit:
        return UslFit(measured, checked, None, limit)
    law = _law(checked, measured, samples)
    return UslFit(measured, checked, law, _remarks(law))


def leave_one_out(fit: UslFit | None) -> pd.DataFrame:
    """
    Predict each replica count from the others; columns: replicas, measured, predicted, low, high,
    inside. Empty without a law, or if the others are too few for one.
    """
    rows = []
    points = fit.points if fit and fit.law else pd.DataFrame({"replicas": []})
    for replicas in points["replicas"].unique():
        chosen = points["replicas"] == replicas
        others = fit_usl(points[~chosen])
        if others.law is None:
            continue
        mean = float(np.exp(np.log(points["tiles_per_s"][chosen]).mean()))
        guess = others.law.prediction(float(replicas), int(chosen.sum()))
        inside = guess.low <= mean <= guess.high
        rows.append((replicas, mean, guess.value, guess.low, guess.high, inside))
    columns = ["replicas", "measured", "predicted", "low", "high", "inside"]
    return pd.DataFrame(rows, columns=columns).sort_values("replicas", ignore_index=True)


def misses_allowed(predictions: int) -> int:
    """
    Return how many of these 95 % intervals may miss; more have a chance of 1 in 50.
    """
    return int(binom.ppf(0.98, predictions, 1 - LEVEL)) if predictions else 0


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
            "expected the steps of a sweep: whole replica counts, each with its throughput; "
            f"{'some are invalid' if problems else 'there are none'}",
            evidence="\n".join(problems),
            next_step="run 10_load_test with replicas: [1, 2, 4, 8], or leave these steps out",
        )
    return points.astype({"replicas": float, "tiles_per_s": float}).reset_index(drop=True)


def _measured(points: pd.DataFrame) -> pd.DataFrame:
    # geometric means; the interval needs two repetitions, and is NaN otherwise
    rows = []
    for replicas, own in points.groupby("replicas"):
        logs = np.log(own["tiles_per_s"].to_numpy(dtype=float))
        rows.append((replicas, len(logs), *np.exp(mean_interval(logs))))
    columns = ["replicas", "repetitions", "tiles_per_s", "low", "high"]
    return pd.DataFrame(rows, columns=columns).astype({"replicas": int})


def _law(points: pd.DataFrame, measured: pd.DataFrame, samples: int) -> Law:
    random = np.random.default_rng(0)
    counts = measured["replicas"].to_numpy(dtype=float)
    repeated = measured["repetitions"].to_numpy(dtype=float)
    observed = counts / measured["tiles_per_s"].to_numpy(dtype=float)
    design = design_of(counts)
    scale = np.sqrt(repeated) / observed
    for _ in range(3):  # relative errors: the weights follow the fit, and converge by then
        terms, _ = nnls(design * scale[:, None], observed * scale)
        scale = np.sqrt(repeated) / (design @ terms)
    # without the bounds: the noise is drawn around this, so that a coefficient at its bound does
    # not look certain
    free = np.linalg.lstsq(design * scale[:, None], observed * scale)[0]
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
    misfit_p = float("nan")
    if pure > 0 and lack > 0:
        excess = max(0.0, bounded - within) / lack
        within = max(within, pure * FINEST**2)
        misfit_p = float(f_distribution.sf(excess / (within / pure), lack, pure))
    return Law(terms, drawn, noises, noise, misfit_p, tuple(int(n) for n in counts))


def _spread(points: pd.DataFrame, counts: Numbers, centre: Numbers) -> tuple[float, float]:
    # squares of logarithms: within the repetitions of a count, and around a curve
    logs = np.log(points["tiles_per_s"])
    own = logs - logs.groupby(points["replicas"]).transform("mean")
    law = points["replicas"].map(dict(zip(counts, np.log(counts / centre), strict=True)))
    return float((own**2).sum()), float(((logs - law) ** 2).sum())


def _remarks(law: Law) -> str:
    remarks = []
    most = max(law.counts)
    if law.peak.value > most:
        remarks.append(f"the peak lies beyond the {most} workers that were measured")
    if np.isnan(law.misfit_p):
        remarks.append(
            "nothing tests the curve: that takes four numbers of workers, measured twice"
        )
    elif law.misfit_p < MISFIT:
        remarks.append(
            f"the law does not describe these steps (lack of fit, p = {law.misfit_p:.2g}): "
            "trust the measured means, not the curve"
        )
    return "; ".join(remarks)
