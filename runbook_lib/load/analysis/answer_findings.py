"""
The findings of a load analysis: each a chart or a table, and the sentence that was computed for it.
"""

import numpy as np
import pandas as pd
from scipy.stats import binom

from runbook_lib.core.charts import alt
from runbook_lib.core.findings import Finding
from runbook_lib.load.analysis.load_answer import Answer
from runbook_lib.load.analysis.scalability import leave_one_out
from runbook_lib.load.analysis.scalability_charts import plot_efficiency, plot_throughput
from runbook_lib.load.analysis.scalability_law import LEVEL

NO_RATE = "tiles a second"


def show_throughput(answer: Answer) -> Finding:
    """
    Tiles a second against workers, with the law where there is one.
    """
    found = answer.scalability
    if found is None:
        return Finding(NO_RATE)
    chosen = answer.chosen if found.law is not None else None
    if found.law is None:
        return Finding(f"No curve: {found.limit}.", plot_throughput(found, chosen))
    law = found.law
    one, sigma, kappa = law.coefficients.values()
    words = (
        f"One worker alone does {one.value:.3g} tiles a second ({one.low:.3g} to {one.high:.3g}). "
        f"Workers queue for {sigma.value:.1%} of their work ({sigma.low:.1%} to {sigma.high:.1%}), "
        f"and pay {kappa.value:.2%} for every other one ({kappa.low:.2%} to {kappa.high:.2%}). "
        f"{_peak(answer)} A step differs from the next by {law.noise:.1%}."
    )
    minds = [text for text in found.limit.split("; ") if text and not text.startswith("the peak")]
    words += f" Mind: {'; '.join(minds)}." if minds else ""
    return Finding(words, plot_throughput(found, chosen))


def _peak(answer: Answer) -> str:
    assert answer.scalability is not None and answer.scalability.law is not None
    law = answer.scalability.law
    peak, most = law.peak, max(law.counts)
    if peak.low > most:
        return f"The peak lies beyond the {most} workers that were measured."
    high = f"{peak.high:.1f}" if np.isfinite(peak.high) else "nobody knows how many"
    value = f"at {peak.value:.1f}" if np.isfinite(peak.value) else "beyond every number"
    return f"Throughput peaks {value} workers ({peak.low:.1f} to {high})."


def show_efficiency(answer: Answer) -> Finding:
    """
    What one worker still does beside others.
    """
    found = answer.scalability
    if found is None or len(found.measured) < 2:
        return Finding("a second number of workers, to compare with")
    first, last = found.measured.iloc[0], found.measured.iloc[-1]
    each, alone = last["tiles_per_s"] / last["replicas"], first["tiles_per_s"] / first["replicas"]
    words = (
        f"A worker does {alone:.3g} tiles a second where there are {first['replicas']:g}, and "
        f"{each:.3g} where there are {last['replicas']:g}."
    )
    return Finding(words, plot_efficiency(found))


def predict_left_out(answer: Answer) -> pd.DataFrame:
    """
    Each number of workers predicted from the others, see `leave_one_out`; empty without a law.
    """
    found = answer.scalability
    if found is None or found.law is None:
        return pd.DataFrame(columns=["replicas", "measured", "predicted", "low", "high", "inside"])
    return leave_one_out(found.points)


def show_left_out(left_out: pd.DataFrame) -> Finding:
    """
    The predictions as a table, and how many of them came true.
    """
    if left_out.empty:
        return Finding("enough numbers of workers to leave one out and predict it")
    inside = int(left_out["inside"].sum())
    shown = left_out.round(1).assign(inside=left_out["inside"].map({True: "yes", False: "no"}))
    shown["replicas"] = shown["replicas"].astype(int)
    words = f"{inside} of {len(left_out)} lie within the interval that was predicted for them."
    return Finding(words, shown.rename(columns={"replicas": "workers"}))


def misses_allowed(predictions: int) -> int:
    """
    How many of so many 95 % intervals may miss: more happen by chance once in fifty times.
    """
    return int(binom.ppf(0.98, predictions, 1 - LEVEL)) if predictions else 0


def show_bottleneck(answer: Answer, most: int = 8) -> Finding:
    """
    The resources that are nearest to their limits.
    """
    found = answer.bottleneck
    if found is None:
        return Finding("a container at work")
    table = found.utilisation.head(most)
    order = table["resource"].tolist()
    top = max(1.0, float(table[["utilisation", "high"]].max().max()))
    y = alt.Y("resource:N", title=None, sort=order)
    x = alt.X("utilisation:Q", title="of its limit, 95 % interval").axis(format="%")
    bars = alt.Chart(table).mark_bar(color="#1b7f79").encode(x=x.scale(domain=[0, top]), y=y)
    spans = alt.Chart(table).mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q", y=y)
    leader = table.iloc[0]
    title = f"{found.resource or leader['resource']} is nearest to its limit"
    if found.resource:
        title = f"{found.resource} is the bottleneck"
    chart = alt.layer(bars, spans).properties(width=520, height=26 * len(table), title=title)
    unknown = " The CPU limits of these containers are not known." * (
        not answer.machines.cpu_limits
    )
    return Finding(found.words + unknown, chart)
