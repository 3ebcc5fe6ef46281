"""
The timeline of a drill: throughput, the moments of fault and recovery, failed web requests.
"""

import pandas as pd

from runbook_lib.availability.drills.evidence import DrillOutcome
from runbook_lib.availability.drills.monitors import PAGE, TILES
from runbook_lib.availability.drills.times import WINDOW_S
from runbook_lib.core.charts import alt

_WORDS = {
    "broke": "fault",
    "noticed": "noticed",
    "led": "new leader",
    "rescheduled": "rescheduled",
    "back": "replaced",
    "recovered": "throughput recovered",
    "restored": "restored",
}
_COLOURS = ["#c92a2a", "#e8590c", "#862e9c", "#f08c00", "#2b8a3e", "#1864ab", "#868e96"]


def plot_timeline(outcome: DrillOutcome) -> alt.VConcatChart:
    """
    Draw throughput as an area, its mean over five seconds as a line, and a rule per moment.

    Below, a tick marks each failed web request. Seconds count from the fault.
    """
    evidence = outcome.evidence
    rates = evidence.in_seconds(outcome.rates, 2)
    rates["mean"] = rates["tiles_per_s"].rolling(WINDOW_S, center=True, min_periods=1).mean()
    top = max(rates["tiles_per_s"], default=1.0)
    ends = [float(rates["seconds"].min()), float(rates["seconds"].max())]
    scale = alt.Scale(domain=ends, nice=False)
    x = alt.X("seconds:Q", title="seconds since the fault", scale=scale)
    base = alt.Chart(rates).encode(x=x.title(None))
    area = base.mark_area(interpolate="step-after", color="#d0ebff").encode(
        y=alt.Y("tiles_per_s:Q", title="tiles finished, per second")
    )
    mean = base.mark_line(color="#1864ab").encode(y="mean:Q")
    work = alt.layer(area, mean, *_rules(evidence.in_seconds(outcome.moments, 2), top))
    failed = evidence.in_seconds(evidence.web[~evidence.web["ok"]], 2)
    failed = failed[failed["seconds"].between(ends[0], ends[1])]
    doors = alt.Y("door:N", title="failed requests").scale(domain=[PAGE, TILES])
    ticks = alt.Chart(failed, width=680, height=50).encode(x=x, y=doors)
    return alt.vconcat(
        work.properties(width=680, height=230),
        ticks.mark_tick(color="#c92a2a", thickness=2, clip=True),
        spacing=6,
        title=alt.Title(timeline_title(outcome), anchor="start"),
    )


def plot_timelines(outcomes: list[DrillOutcome]) -> alt.VConcatChart:
    charts = alt.vconcat(*map(plot_timeline, outcomes))
    return charts.resolve_scale(color="independent")  # type: ignore[no-any-return]


def timeline_title(outcome: DrillOutcome) -> str:
    r = outcome.result
    noticed = "not noticed" if r.noticed_s is None else f"noticed after {r.noticed_s:.0f} s"
    throughput = "did not recover" if r.recovered_s is None else "never fell below 90 %"
    if r.recovered_s:
        throughput = f"recovered after {r.recovered_s:.0f} s"
    lost = f"{r.lost} of {r.published:,} tiles lost"
    return f"{r.broke}: {noticed}, throughput {throughput}, {lost}"


def _rules(moments: pd.DataFrame, top: float) -> list[alt.Chart]:
    # Each label is one line below the last: moments may be close together. A white edge keeps it
    # readable where a rule crosses it.
    shown = moments.assign(
        what=moments["what"].map(_WORDS),
        y=[top * (1.1 + 0.1 * n) for n in reversed(range(len(moments)))],
    )
    colour = alt.Color("what:N", legend=None).scale(domain=list(_WORDS.values()), range=_COLOURS)
    base = (
        alt.Chart(shown)
        .encode(x="seconds:Q")
        .transform_calculate(label="datum.what + ' ' + format(datum.seconds, '.0f') + ' s'")
    )
    words = base.encode(y="y:Q", text="label:N")
    edge = words.mark_text(
        align="left", dx=4, fontSize=11, stroke="white", strokeWidth=5, strokeJoin="round"
    )
    label = words.mark_text(align="left", dx=4, fontSize=11, fontWeight=600)
    return [base.mark_rule(strokeWidth=1.5).encode(color=colour), edge, label.encode(color=colour)]
