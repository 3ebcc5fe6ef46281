"""
Throughput and efficiency against the number of workers, with the fitted law.
"""

import numpy as np
import pandas as pd

from runbook_lib.core.charts import alt
from runbook_lib.load.analysis.scalability import Scalability
from runbook_lib.load.analysis.scalability_law import Law, curve, interval

_MEASURED, _LAW, _CHOSEN = "#1f2933", "#1b7f79", "#e8590c"
_POINTS = 60


def plot_throughput(
    found: Scalability, chosen: int | None = None
) -> "alt.LayerChart | alt.FacetChart":
    """
    Draw every step as a point, the law as a line with its 95 % band, and the chosen number.
    """
    x = _workers(found)
    y = alt.Y("tiles_per_s:Q", title="throughput (tiles/s)").scale(zero=True)
    layers = []
    if found.law:
        table = _law_table(found)
        top = 1.3 * float(found.points["tiles_per_s"].max())
        layers = [
            alt.Chart(
                table.assign(low=table["low"].clip(upper=top), high=table["high"].clip(upper=top))
            )
            .mark_area(color=_LAW, opacity=0.2)
            .encode(x=x, y=alt.Y("low:Q", title="throughput (tiles/s)"), y2="high:Q"),
            alt.Chart(table).mark_line(color=_LAW).encode(x=x, y=y),
        ]
    layers.append(
        alt.Chart(found.points).mark_circle(color=_MEASURED, size=45, opacity=0.8).encode(x=x, y=y)
    )
    if chosen:
        mark = pd.DataFrame({"replicas": [chosen], "text": [f"{chosen} workers"]})
        layers += [
            alt.Chart(mark).mark_rule(color=_CHOSEN, strokeDash=[5, 3]).encode(x=x),
            alt.Chart(mark)
            .mark_text(color=_CHOSEN, align="left", dx=5, dy=-6, fontWeight="bold")
            .encode(x=x, y=alt.value(250), text="text:N"),
        ]
    said = "points: steps as measured" + (
        "; line and band: Universal Scalability Law, 95 %" if found.law else ""
    )
    return alt.layer(*layers).properties(
        width=520,
        height=260,
        title=alt.Title(_finding(found, chosen), subtitle=said, anchor="start"),
    )


def plot_efficiency(found: Scalability) -> "alt.LayerChart | alt.FacetChart":
    """
    Draw what one worker does beside others, against what it does with the fewest measured.
    """
    means = found.measured.assign(each=found.measured["tiles_per_s"] / found.measured["replicas"])
    least = means.iloc[0]
    means["share"] = means["each"] / least["each"]
    x = _workers(found)
    name = f"of one worker's tiles/s with {least['replicas']:g}"
    y = alt.Y("share:Q", title=name).axis(format="%").scale(zero=True)
    layers = [alt.Chart(means).mark_circle(color=_MEASURED, size=60).encode(x=x, y=y)]
    if found.law:
        table = _law_table(found)
        start = float(curve(found.law.terms, np.array([float(least["replicas"])]))[0])
        table["share"] = table["tiles_per_s"] / table["replicas"] / (start / least["replicas"])
        layers.insert(0, alt.Chart(table).mark_line(color=_LAW).encode(x=x, y=y))
    last = means.iloc[-1]
    title = (
        f"With {last['replicas']:g} workers, each does {last['share']:.0%} of what it does with "
        f"{least['replicas']:g}"
        if len(means) > 1
        else f"Only {least['replicas']:g} workers were measured: nothing to compare with"
    )
    return alt.layer(*layers).properties(
        width=520, height=220, title=alt.Title(title, anchor="start")
    )


def _workers(found: Scalability) -> alt.X:
    most = float(found.points["replicas"].max()) + 1
    workers = alt.X("replicas:Q", title="workers").scale(domain=[0, most], nice=False)
    return workers.axis(tickMinStep=1, format="d")


def _law_table(found: Scalability) -> pd.DataFrame:
    law: Law | None = found.law
    counts = found.measured["replicas"]
    at = np.linspace(1, float(counts.max()), _POINTS)
    if law is None:
        return pd.DataFrame(columns=["replicas", "tiles_per_s", "low", "high"])
    values, drawn = curve(law.terms, at), curve(law.samples, at)
    rows = [
        (n, i.value, i.low, i.high)
        for n, v, column in zip(at, values, drawn.T, strict=True)
        for i in [interval(float(v), column)]
    ]
    return pd.DataFrame(rows, columns=["replicas", "tiles_per_s", "low", "high"])


def _finding(found: Scalability, chosen: int | None) -> str:
    if found.law is None:
        counts = ", ".join(str(n) for n in found.measured["replicas"])
        mean = found.measured["tiles_per_s"].iloc[-1]
        return f"{mean:.0f} tiles/s with {counts} workers: too little for a curve"
    most = int(found.measured["replicas"].max())
    if chosen:
        rate = found.law.throughput(chosen)
        return (
            f"{chosen} workers do {rate.value:.0f} tiles/s ({rate.low:.0f} to {rate.high:.0f}); "
            f"more, up to {most}, add less than 5 %"
        )
    rate = found.law.throughput(most)
    return f"{most} workers do {rate.value:.0f} tiles/s ({rate.low:.0f} to {rate.high:.0f})"
