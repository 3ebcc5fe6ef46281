"""
Throughput and efficiency against the number of workers, with the fitted law, as findings.
"""

import numpy as np
import pandas as pd

from runbook_lib.core.charts import alt
from runbook_lib.core.findings import Finding
from runbook_lib.core.words import count_of, sentence
from runbook_lib.load.analysis.usl import Law, curve, interval
from runbook_lib.load.analysis.usl_fit import UslFit

NO_RATE = "tiles a second"
_MEASURED, _LAW, _CHOSEN = "#1f2933", "#1b7f79", "#e8590c"


def show_throughput(fit: UslFit | None, chosen: int) -> Finding:
    """
    Show steps as points, the law as a line with its 95 % band, and the chosen number of workers.
    """
    if fit is None:
        return Finding(NO_RATE)
    if fit.law is None:
        return Finding(f"No curve: {fit.limit}.", _throughput(fit, chosen))
    remarks = [text for text in fit.limit.split("; ") if text and not text.startswith("the peak")]
    if not fit.follows_law:
        return Finding(sentence("; ".join(remarks)), _throughput(fit, chosen))
    one, sigma, kappa = fit.law.coefficients.values()
    words = (
        f"One worker alone does {one.value:.3g} tiles a second ({one.low:.3g} to {one.high:.3g}). "
        f"Contention is {sigma.value:.1%} of the work ({sigma.low:.1%} to {sigma.high:.1%}), "
        f"coordination {kappa.value:.2%} for every other worker ({kappa.low:.2%} to "
        f"{kappa.high:.2%}). {_peak(fit.law)} The noise of one step is {fit.law.noise:.1%}."
    )
    words += f" Note: {'; '.join(remarks)}." if remarks else ""
    return Finding(words, _throughput(fit, chosen))


def _peak(law: Law) -> str:
    peak, most = law.peak, max(law.counts)
    if peak.low > most:
        return f"The peak lies beyond the {most} workers that were measured."
    if not np.isfinite(peak.value):
        return f"Throughput has no peak, or one beyond {peak.low:.1f} workers."
    high = f"{peak.high:.1f}" if np.isfinite(peak.high) else "no upper bound"
    return f"Throughput peaks at {peak.value:.1f} workers ({peak.low:.1f} to {high})."


def show_efficiency(fit: UslFit | None) -> Finding:
    """
    Show the throughput per worker, as a share of that with the fewest measured workers.
    """
    if fit is None or len(fit.measured) < 2:
        return Finding("a second number of workers, to compare with")
    means = fit.measured.assign(each=fit.measured["tiles_per_s"] / fit.measured["replicas"])
    least = means.iloc[0]
    means["share"] = means["each"] / least["each"]
    x = _workers(fit)
    name = f"of one worker's tiles/s with {least['replicas']:g}"
    y = alt.Y("share:Q", title=name).axis(format="%").scale(zero=True)
    layers = [alt.Chart(means).mark_circle(color=_MEASURED, size=60).encode(x=x, y=y)]
    if fit.law:
        table = _law_table(fit, fit.law)
        start = float(curve(fit.law.terms, np.array([float(least["replicas"])]))[0])
        table["share"] = table["tiles_per_s"] / table["replicas"] / (start / least["replicas"])
        layers.insert(0, alt.Chart(table).mark_line(color=_LAW).encode(x=x, y=y))
    last = means.iloc[-1]
    few, most = f"{least['replicas']:g}", f"{last['replicas']:g}"
    title = f"With {most} workers, each does {last['share']:.0%} of its throughput with {few}"
    words = (
        f"With {count_of(int(few), 'worker')}, each does {least['each']:.3g} tiles a second; "
        f"with {most}, {last['each']:.3g}."
    )
    chart = alt.layer(*layers).properties(width=520, height=220)
    return Finding(words, chart.properties(title=alt.Title(title, anchor="start")))


def show_left_out(left_out: pd.DataFrame) -> Finding:
    """
    Show the predictions of `leave_one_out` as a table, and how many of them were correct.
    """
    if left_out.empty:
        return Finding("enough numbers of workers to leave one out and predict it")
    inside = int(left_out["inside"].sum())
    table = left_out.round(1).assign(inside=left_out["inside"].map({True: "yes", False: "no"}))
    table["replicas"] = table["replicas"].astype(int)
    words = f"{inside} of {len(left_out)} lie within the interval that was predicted for them."
    return Finding(words, table.rename(columns={"replicas": "workers"}))


def _throughput(fit: UslFit, chosen: int) -> "alt.LayerChart | alt.FacetChart":
    x = _workers(fit)
    y = alt.Y("tiles_per_s:Q", title="throughput (tiles/s)").scale(zero=True)
    layers = []
    if fit.law:
        table = _law_table(fit, fit.law)
        top = 1.3 * float(fit.points["tiles_per_s"].max())
        band = table.assign(low=table["low"].clip(upper=top), high=table["high"].clip(upper=top))
        low = alt.Y("low:Q", title="throughput (tiles/s)")
        area = alt.Chart(band).mark_area(color=_LAW, opacity=0.2)
        line = alt.Chart(table).mark_line(color=_LAW)
        layers = [area.encode(x=x, y=low, y2="high:Q"), line.encode(x=x, y=y)]
    points = alt.Chart(fit.points).mark_circle(color=_MEASURED, size=45, opacity=0.8)
    layers.append(points.encode(x=x, y=y))
    if fit.law:
        mark = alt.Chart(pd.DataFrame({"replicas": [chosen], "text": [f"{chosen} workers"]}))
        text = mark.mark_text(color=_CHOSEN, align="left", dx=5, dy=-6, fontWeight="bold")
        layers += [
            mark.mark_rule(color=_CHOSEN, strokeDash=[5, 3]).encode(x=x),
            text.encode(x=x, y=alt.value(250), text="text:N"),
        ]
    law = "; line and band: Universal Scalability Law, 95 %" if fit.law else ""
    title = alt.Title(
        _title(fit, chosen), subtitle=f"points: steps as measured{law}", anchor="start"
    )
    return alt.layer(*layers).properties(width=520, height=260, title=title)


def _workers(fit: UslFit) -> alt.X:
    most = float(fit.points["replicas"].max()) + 1
    workers = alt.X("replicas:Q", title="workers").scale(domain=[0, most], nice=False)
    return workers.axis(tickMinStep=1, format="d")


def _law_table(fit: UslFit, law: Law) -> pd.DataFrame:
    at = np.linspace(1, float(fit.measured["replicas"].max()), 60)
    values, drawn = curve(law.terms, at), curve(law.samples, at)
    spans = [interval(float(v), column) for v, column in zip(values, drawn.T, strict=True)]
    rows = [(n, i.value, i.low, i.high) for n, i in zip(at, spans, strict=True)]
    return pd.DataFrame(rows, columns=["replicas", "tiles_per_s", "low", "high"])


def _title(fit: UslFit, chosen: int) -> str:
    if fit.law is None:
        counts = ", ".join(str(n) for n in fit.measured["replicas"])
        mean = fit.measured["tiles_per_s"].iloc[-1]
        return f"{mean:.0f} tiles/s with {counts} workers: too little for a curve"
    rate = fit.throughput(chosen)
    known = f"{chosen} workers do {rate.value:.0f} tiles/s ({rate.low:.0f} to {rate.high:.0f})"
    return f"{known}; {fit.beyond(chosen)}"
