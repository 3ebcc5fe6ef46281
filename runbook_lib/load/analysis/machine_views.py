"""
Tables and charts of a recording; titles state the finding, axes have units.
"""

import pandas as pd

from runbook_lib.core.charts import alt, colours, highest
from runbook_lib.core.findings import Finding
from runbook_lib.core.words import count_of
from runbook_lib.load.analysis.cpu_credits import CreditPlan
from runbook_lib.load.analysis.overrun import show_overruns
from runbook_lib.load.recordings.counters import COUNTERS, total_counters
from runbook_lib.load.recordings.schema import Recording
from runbook_lib.load.recordings.separate_runs import find_runs
from runbook_lib.load.recordings.series import even_series
from runbook_lib.load.recordings.source import open_recording

LIGHTS = {
    "GREY": (0.0, "#c9ced6"),
    "GREEN": (0.2, "#bfe3c6"),
    "YELLOW": (0.5, "#f6e3a1"),
    "RED": (0.7, "#f2b8b5"),
}
"""The guide's thresholds of the lights."""
IN_SAMPLES = "in the samples"
MEASURES = {
    "cpu_percent": ("CPU", "CPU in use (% of one CPU)", 1.0, "% of a CPU"),
    "memory_bytes": ("memory", "memory in use (MB)", 1e6, "MB"),
    "net_in_bytes_per_s": ("network in", "received (MB/s)", 1e6, "MB/s"),
    "net_out_bytes_per_s": ("network out", "sent (MB/s)", 1e6, "MB/s"),
    "net_in_bytes": ("network in, total", "received in all (GB)", 1e9, "GB"),
    "net_out_bytes": ("network out, total", "sent in all (GB)", 1e9, "GB"),
}
"""Measures of `even_series`: name, axis, divisor, unit."""


def run_table(runs: pd.DataFrame) -> pd.DataFrame:
    """
    Format `find_runs` for a page: times to the second, minutes of load.
    """
    clock = {name: runs[name].dt.strftime("%H:%M:%S") for name in ("began", "ended")}
    minutes = (runs["busy_s"] / 60).round(1).fillna(0.0)
    table = runs[["run"]].assign(**clock, minutes_of_load=minutes)
    table[["containers", "begins with"]] = runs[["containers", "begins_with"]]
    return table.rename(columns=lambda name: name.replace("_", " "))


def side_by_side(recording: Recording, others: list[str]) -> pd.DataFrame:
    """
    Compare experiments as columns, this one first; `others` are folders.
    """
    named = {recording.source: recording, **{folder: open_recording(folder) for folder in others}}
    columns = {"/".join(name.split("/")[-3:]): _figures(found) for name, found in named.items()}
    return pd.DataFrame(columns).fillna("")


def _figures(recording: Recording) -> dict[str, object]:
    totals = total_counters(recording.stats).set_index("service")
    runs = find_runs(recording.stats)
    known = {key: value for key, value in recording.experiment.items() if key != "digits"}
    return known | {
        "nodes": recording.stats["node"].nunique(),
        "runs (with load)": f"{len(runs)} ({runs['busy_from'].notna().sum()})",
        "busy (minutes)": round(runs["busy_s"].sum() / 60, 1),
        **{
            f"{service} {way} (GB)": round(float(totals[f"net_{column}_bytes"][service]) / 1e9, 2)
            for service in totals.index
            for way, column in (("sent", "out"), ("received", "in"))
        },
    }


def total_differences(recording: Recording) -> pd.DataFrame:
    """
    Find totals that are not the sum of each container's highest counter.

    Columns: service, counter, total, highest. Services with restarted containers have more than one
    highest counter per id, and are left out.
    """
    totals = total_counters(recording.stats).set_index("service")
    each = recording.stats.groupby(["service", "node", "container"])[COUNTERS].max()
    highest = each.groupby("service").sum(min_count=1)
    rows = [
        (service, name, totals.loc[service, name], highest.loc[service, name])
        for service in totals.index[totals["restarts"] == 0]
        for name in COUNTERS
    ]
    table = pd.DataFrame(rows, columns=["service", "counter", "total", "highest"]).dropna()
    apart = (table["total"] - table["highest"]).abs() > 1e-6 * table["highest"]
    return table[apart]


def all_views(recording: Recording, plan: CreditPlan) -> dict[str, object]:
    """
    Draw all that this page shows; a `Finding` without a picture stands for what was not recorded.
    """
    stats = recording.stats
    return {
        "CPU": show_measure(stats, "cpu_percent"),
        "Minutes without their CPU": show_overruns(stats, plan),
        "Memory": show_measure(stats, "memory_bytes"),
        "Received": show_network(stats, "in"),
        "Sent": show_network(stats, "out"),
        "Queues": plot_queues(recording.queues),
        "Load": plot_load(recording.autoscaler),
        "Replicas": plot_replicas(recording),
    }


def show_measure(stats: pd.DataFrame, measure: str) -> "alt.HConcatChart | Finding":
    """
    Show one measure over time, by service and by node side by side.
    """
    pair = [plot_measure(stats, measure, by=by) for by in ("service", "node")]
    charts = [each.properties(width=330) for each in pair if isinstance(each, alt.Chart)]
    if not charts:
        return pair[0] if isinstance(pair[0], Finding) else Finding(measure)
    drawn: alt.HConcatChart = alt.hconcat(*charts).resolve_scale(color="independent")
    return drawn


def show_network(stats: pd.DataFrame, way: str) -> "alt.VConcatChart | Finding":
    """
    Show the rate received (`in`) or sent (`out`), and below it the total.
    """
    pair = [show_measure(stats, f"net_{way}_bytes{end}") for end in ("_per_s", "")]
    charts = [each for each in pair if not isinstance(each, Finding)]
    if not charts:
        return pair[0] if isinstance(pair[0], Finding) else Finding(f"network {way}")
    return alt.vconcat(*charts)


def plot_measure(
    stats: pd.DataFrame, measure: str, *, by: str = "service"
) -> "alt.Chart | Finding":
    """
    Draw one measure over time, a line per service or node; the title names the highest.
    """
    name, axis, divisor, unit = MEASURES[measure]
    if stats.empty:
        return Finding(name)
    series = even_series(stats, [by], width_s=_width_s(stats))
    series["value"] = series[measure] / divisor
    is_total = "total" in name
    if is_total:
        series["value"] = series["value"].where(series["containers"] > 0)
    else:
        series = _broken_at_gaps(series, by)
    if series["value"].nunique() < 1:
        return Finding(f"samples of {name} over half a minute or more")
    peaks = series.groupby(by)["value"].max()
    top = str(peaks.idxmax())
    mean = series.loc[series[by] == top, "value"].mean()
    title = f"{top} leads in {name}: {peaks[top]:.3g} {unit}"
    title += "" if is_total else f" at most, {mean:.3g} on average"
    order = peaks.sort_values().index.tolist()[::-1]
    y, colour = alt.Y("value:Q", title=axis), alt.Color(f"{by}:N", title=by, scale=colours(order))
    return _lines(
        series[["time", by, "value"]], title, _clock(stats), y, colour, stepped="per_s" in measure
    )


def plot_load(autoscaler: pd.DataFrame) -> "alt.LayerChart | Finding":
    """
    Draw the autoscaler's load over its four lights, and the share of decisions in each.
    """
    known = autoscaler.dropna(subset="load").sort_values("time")
    if known.empty:
        return Finding("the load that an autoscaler measured")
    title = "The load was " + ", ".join(
        f"{light} {_part(share)}"
        for light, share in known["light"].value_counts(normalize=True).items()
    )
    first, last = (f"{known['time'].iloc[at]:%H:%M}" for at in (0, -1))
    title += f" ({count_of(len(known), 'decision')}, {first} to {last})"
    top = max(1.0, float(known["load"].max()) * 1.05)
    starts, colours = zip(*LIGHTS.values(), strict=True)
    bands = pd.DataFrame({"light": LIGHTS.keys(), "low": starts, "high": [*starts[1:], top]})
    colour = alt.Color("light:N", title="light").scale(domain=list(LIGHTS), range=colours)
    y = alt.Y("low:Q", title="load (1 = full)").scale(domain=[0, top], nice=False)
    band = alt.Chart(bands).mark_rect().encode(y=y, y2="high:Q", color=colour)
    line = alt.Chart(highest(known, ["load"])).mark_line(color="#1b2a41", strokeWidth=1)
    layers = (band, line.encode(x=_clock(known), y="load:Q"))
    return alt.LayerChart(layer=layers, title=title, width=640, height=180)


def replicas_over_time(recording: Recording) -> pd.DataFrame:
    """
    Return the workers requested by the autoscaler, counted by it, and present in the samples, on
    one time axis; NaN where one of them was not recorded.
    """
    width_s = _width_s(recording.stats) if len(recording.stats) else 10.0
    columns = []
    decided = recording.autoscaler.set_index("time")[["wanted", "running"]].sort_index()
    if len(decided):
        names = {"wanted": "requested", "running": "counted"}
        columns.append(decided.resample(f"{width_s}s").mean().rename(columns=names))
    stats = recording.stats[recording.stats["service"] == "worker"]
    if len(stats):
        series = even_series(stats, width_s=width_s)
        series = _broken_at_gaps(series.assign(value=series["containers"]), "service")
        columns.append(series.set_index("time")[["value"]].rename(columns={"value": IN_SAMPLES}))
    return pd.concat(columns, axis=1, sort=True) if columns else pd.DataFrame()


def plot_replicas(recording: Recording) -> "alt.Chart | Finding":
    """
    Draw `replicas_over_time`; the title compares their means over the time that all cover.
    """
    table = replicas_over_time(recording)
    if table.notna().sum().sum() == 0:
        return Finding("the number of workers over half a minute or more")
    both = table.dropna()
    title = "Requested and sampled at different times: their means cannot be compared"
    if len(both):
        first, last = (f"{at:%H:%M}" for at in (both.index[0], both.index[-1]))
        means = ", ".join(f"{mean:.1f} {which}" for which, mean in both.mean().items())
        title = f"Workers on average, {first} to {last}: {means}"
    long = table.rename_axis("time").reset_index().melt("time", var_name="which")
    long = long.rename(columns={"value": "replicas"})
    which = (alt.Color("which:N", title=None), alt.StrokeDash("which:N", title=None))
    y = alt.Y("replicas:Q", title="replicas of worker")
    return _lines(long, title, _clock(long), y, *which, stepped=True)


def plot_queues(queues: pd.DataFrame) -> "alt.VConcatChart | Finding":
    """
    Draw the waiting messages of each queue, and its rates in and out.
    """
    if queues.empty:
        return Finding("the broker's queues")
    depth = queues.groupby("queue")["ready"].max()
    title = f"At most {depth.max():,.0f} messages waited, in {depth.idxmax()}"
    x, y = _clock(queues), alt.Y("ready:Q", title="messages waiting")
    colour = alt.Color("queue:N", title="queue", scale=colours(sorted(depth.index)))
    waiting = _lines(highest(queues, ["ready"], ["queue"]), title, x, y, colour, height=140)
    rates = _rates(queues)
    if rates.empty:
        return alt.vconcat(waiting)
    fastest = rates.iloc[int(rates["per_s"].to_numpy().argmax())]
    title = f"{fastest['queue']} had up to {fastest['per_s']:.3g} messages a second"
    y, dash = alt.Y("per_s:Q", title="messages a second"), alt.StrokeDash("which:N", title=None)
    return alt.vconcat(waiting, _lines(rates, title, x, y, colour, dash, height=140))


def _part(share: float) -> str:
    # neither 0 % nor 100 % of what happened at times
    if share < 0.01:
        return "under 1%"
    return f"{share:.0%}" if share == 1 or share < 0.995 else "over 99%"


def _lines(
    table: pd.DataFrame, title: str, *channels: object, stepped: bool = False, height: int = 160
) -> alt.Chart:
    chart = alt.Chart(table, title=title, width=640, height=height)
    drawn: alt.Chart = chart.mark_line(interpolate="step-after" if stepped else "linear").encode(
        *channels
    )
    return drawn


def _rates(queues: pd.DataFrame) -> pd.DataFrame:
    # between samples at least five seconds apart, and about 200 of them
    width_s = max(5, round((queues["time"].max() - queues["time"].min()).total_seconds() / 200))
    names = ["published", "delivered", "acknowledged"]
    rates = []
    for queue, rows in queues.groupby("queue"):
        even = rows.set_index("time")[names].resample(f"{width_s}s").last().dropna(how="all")
        seconds = even.index.to_series().diff().dt.total_seconds()
        grown = even.diff().where(even.diff() >= 0).div(seconds, axis=0)
        flat = grown.reset_index().melt("time", var_name="which", value_name="per_s")
        rates.append(flat.assign(queue=queue))
    return pd.concat(rates, ignore_index=True).dropna()


def _width_s(stats: pd.DataFrame) -> float:
    # about 200 bins, none shorter than the sampling interval
    span = (stats["time"].max() - stats["time"].min()).total_seconds()
    return float(max(10, round(span / 200, -1)))


def _broken_at_gaps(series: pd.DataFrame, by: str) -> pd.DataFrame:
    """
    Break lines where nothing ran, as they would join separate runs, and drop the first and last
    bin of a container: these are partial, and would look like a rise and a fall.
    """
    ran = series["containers"] > 0
    inner = ran & ran.groupby(series[by]).shift(1, fill_value=False)
    inner &= ran.groupby(series[by]).shift(-1, fill_value=False)
    return series.assign(value=series["value"].where(inner))


def _clock(frame: pd.DataFrame) -> alt.X:
    short = frame["time"].max() - frame["time"].min() < pd.Timedelta("15min")
    axis = alt.Axis(format="%H:%M:%S" if short else "%H:%M", tickCount=8)
    return alt.X("time:T", title="time (UTC)", axis=axis, scale=alt.Scale(type="utc"))
