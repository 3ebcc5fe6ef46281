"""
Charts of a recorded load; each title says what was found, each axis its unit.
"""

import pandas as pd

from runbook_lib.core.charts import alt
from runbook_lib.load.recordings.counters import total_counters
from runbook_lib.load.recordings.schema import Recording
from runbook_lib.load.recordings.separate_runs import find_runs
from runbook_lib.load.recordings.series import even_series

LIGHTS = {"GREY": (0.0, "#c9ced6"), "GREEN": (0.2, "#bfe3c6"), "YELLOW": (0.5, "#f6e3a1")}
RED_FROM, RED = 0.7, "#f2b8b5"
"""Where each light begins, as the guide sets them."""
MEASURES = {
    "cpu_percent": ("CPU", "CPU in use (% of one CPU)", 1.0, "% of a CPU"),
    "memory_bytes": ("memory", "memory in use (MB)", 1e6, "MB"),
    "net_in_bytes_per_s": ("network in", "received (MB/s)", 1e6, "MB/s"),
    "net_out_bytes_per_s": ("network out", "sent (MB/s)", 1e6, "MB/s"),
    "net_in_bytes": ("network in, total", "received in all (GB)", 1e9, "GB"),
    "net_out_bytes": ("network out, total", "sent in all (GB)", 1e9, "GB"),
}
"""What `even_series` holds: name, axis, divisor, unit."""


def plot_measure(stats: pd.DataFrame, measure: str, *, by: str = "service") -> alt.Chart:
    """
    One measure over time, a line for each service or node; the title names the highest.
    """
    name, axis, divisor, unit = MEASURES[measure]
    if stats.empty:
        return _nothing(f"No {name} was recorded")
    series = even_series(stats, [by], width_s=_width_s(stats))
    series["value"] = series[measure] / divisor
    if "total" in name:
        series["value"] = series["value"].where(series["containers"] > 0)
    else:
        series = _broken_at_gaps(series, by)
    peaks = series.groupby(by)["value"].max()
    top = str(peaks.idxmax())
    mean = series.loc[series[by] == top, "value"].mean()
    found = f"{top} leads in {name}: "
    found += f"{peaks[top]:.3g} {unit}" + (
        "" if "total" in name else f" at most, {mean:.3g} on average"
    )
    chart: alt.Chart = (
        alt.Chart(series[["time", by, "value"]], title=found)
        .mark_line(interpolate="step-after" if "per_s" in measure else "linear")
        .encode(
            x=_clock(stats),
            y=alt.Y("value:Q", title=axis),
            color=alt.Color(f"{by}:N", title=by, sort=peaks.sort_values().index.tolist()[::-1]),
        )
        .properties(width=640, height=160)
    )
    return chart


def plot_load(autoscaler: pd.DataFrame) -> alt.LayerChart:
    """
    The autoscaler's load over its four lights, and how long it stood in each.
    """
    known = autoscaler.dropna(subset="load")
    if known.empty:
        return alt.LayerChart(layer=(_nothing("No load was recorded"),))
    shares = known["light"].value_counts(normalize=True)
    found = "The load was " + ", ".join(
        f"{light} {share:.0%}" if share >= 0.01 else f"{light} under 1%"
        for light, share in shares.items()
    )
    top = max(1.0, float(known["load"].max()) * 1.05)
    starts = [*(start for start, _ in LIGHTS.values()), RED_FROM, top]
    bands = pd.DataFrame(
        {
            "light": [*LIGHTS, "RED"],
            "low": starts[:-1],
            "high": starts[1:],
        }
    )
    colours = [*(colour for _, colour in LIGHTS.values()), RED]
    band = (
        alt.Chart(bands)
        .mark_rect()
        .encode(
            y=alt.Y("low:Q", title="load (1 = full)", scale=alt.Scale(domain=[0, top], nice=False)),
            y2="high:Q",
            color=alt.Color(
                "light:N", title="light", scale=alt.Scale(domain=[*LIGHTS, "RED"], range=colours)
            ),
        )
    )
    line = (
        alt.Chart(_thin(known))
        .mark_line(color="#1b2a41", strokeWidth=1)
        .encode(x=_clock(known), y="load:Q")
    )
    chart: alt.LayerChart = alt.LayerChart(layer=(band, line), title=found).properties(
        width=640, height=180
    )
    return chart


def plot_replicas(recording: Recording, *, service: str = "worker") -> alt.Chart:
    """
    Replicas that the autoscaler wanted, those that it reckoned with, and those seen in the samples.
    """
    lines = []
    if len(recording.autoscaler):
        known = recording.autoscaler[["time", "running", "wanted"]].melt(
            "time", var_name="what", value_name="replicas"
        )
        known["what"] = known["what"].map({"running": "reckoned with", "wanted": "wanted"})
        lines.append(known)
    stats = recording.stats[recording.stats["service"] == service]
    if len(stats):
        seen = even_series(stats, width_s=_width_s(recording.stats))
        seen = _broken_at_gaps(seen.assign(value=seen["containers"]), "service")
        seen = seen.rename(columns={"value": "replicas"})[["time", "replicas"]]
        lines.append(seen.assign(what="seen in the samples"))
    if not lines:
        return _nothing("No replicas were recorded")
    shown = pd.concat(lines, ignore_index=True)
    means = shown.groupby("what")["replicas"].mean()
    found = "; ".join(f"{mean:.1f} replicas {what}" for what, mean in means.items())
    chart: alt.Chart = (
        alt.Chart(shown, title=f"On average {found}")
        .mark_line(interpolate="step-after")
        .encode(
            x=_clock(shown),
            y=alt.Y("replicas:Q", title=f"replicas of {service}"),
            color=alt.Color("what:N", title=None),
            strokeDash=alt.StrokeDash("what:N", title=None),
        )
        .properties(width=640, height=160)
    )
    return chart


def plot_queues(queues: pd.DataFrame) -> alt.VConcatChart:
    """
    Messages that wait in each queue, and what goes in and out of it a second.
    """
    if queues.empty:
        return alt.vconcat(_nothing("No queues were recorded"))
    depth = queues.groupby("queue")["ready"].max()
    deepest = str(depth.idxmax())
    waiting = (
        alt.Chart(queues, title=f"At most {depth.max():,.0f} messages waited, in {deepest}")
        .mark_line()
        .encode(x=_clock(queues), y=alt.Y("ready:Q", title="messages waiting"), color="queue:N")
        .properties(width=640, height=140)
    )
    rates = _rates(queues)
    if rates.empty:
        return alt.vconcat(waiting)
    fastest = rates.iloc[int(rates["per_s"].to_numpy().argmax())]
    flow = (
        alt.Chart(
            rates, title=f"{fastest['queue']} had up to {fastest['per_s']:.3g} messages a second"
        )
        .mark_line()
        .encode(
            x=_clock(queues),
            y=alt.Y("per_s:Q", title="messages a second"),
            color="queue:N",
            strokeDash=alt.StrokeDash("what:N", title=None),
        )
        .properties(width=640, height=140)
    )
    return alt.vconcat(waiting, flow)


def compare_recordings(recordings: dict[str, Recording]) -> pd.DataFrame:
    """
    Experiments side by side, one a column.
    """
    columns = {}
    for name, recording in recordings.items():
        totals = total_counters(recording.stats).set_index("service")
        runs = find_runs(recording.stats)
        asked = {key: value for key, value in recording.experiment.items() if key != "digits"}
        columns[name] = asked | {
            "nodes": recording.stats["node"].nunique(),
            "runs (with load)": f"{len(runs)} ({runs['busy_from'].notna().sum()})",
            "busy (minutes)": round(runs["busy_s"].sum() / 60, 1),
            **{
                f"{service} {way} (GB)": round(
                    float(totals[f"net_{column}_bytes"][service]) / 1e9, 2
                )
                for service in totals.index
                for way, column in (("sent", "out"), ("received", "in"))
            },
        }
    return pd.DataFrame(columns)


def _rates(queues: pd.DataFrame) -> pd.DataFrame:
    """
    What the counters grew by a second, between samples at least five seconds apart.
    """
    names = ["published", "delivered", "acknowledged"]
    found = []
    for queue, rows in queues.groupby("queue"):
        even = rows.set_index("time")[names].resample("5s").last().dropna(how="all")
        seconds = even.index.to_series().diff().dt.total_seconds()
        grown = even.diff().where(even.diff() >= 0).div(seconds, axis=0)
        flat = grown.reset_index().melt("time", var_name="what", value_name="per_s")
        found.append(flat.assign(queue=queue))
    return pd.concat(found, ignore_index=True).dropna()


def _width_s(stats: pd.DataFrame) -> float:
    """
    About 200 bins, and none shorter than the samples are apart.
    """
    span = (stats["time"].max() - stats["time"].min()).total_seconds()
    return float(max(10, round(span / 200, -1)))


def _broken_at_gaps(series: pd.DataFrame, by: str) -> pd.DataFrame:
    """
    No line where nothing ran, as it would join what does not belong together, nor in the first and
    last bin of a life: they hold a part of it, and would look like a rise and a fall.
    """
    ran = series["containers"] > 0
    inner = ran & ran.groupby(series[by]).shift(1, fill_value=False)
    inner &= ran.groupby(series[by]).shift(-1, fill_value=False)
    return series.assign(value=series["value"].where(inner))


def _thin(frame: pd.DataFrame, most: int = 2000) -> pd.DataFrame:
    return frame.iloc[:: max(1, len(frame) // most)]


def _clock(frame: pd.DataFrame) -> alt.X:
    short = frame["time"].max() - frame["time"].min() < pd.Timedelta("15min")
    axis = alt.Axis(format="%H:%M:%S" if short else "%H:%M", tickCount=8)
    return alt.X("time:T", title="time (UTC)", axis=axis, scale=alt.Scale(type="utc"))


def _nothing(title: str) -> alt.Chart:
    chart: alt.Chart = alt.Chart(pd.DataFrame({"x": []}), title=title).mark_point()
    return chart.properties(height=20)
