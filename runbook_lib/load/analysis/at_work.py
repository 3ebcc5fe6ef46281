"""
When the stack of a recording was at work, and when it was idle.
"""

from collections.abc import Sequence

import pandas as pd

from runbook_lib.load.recordings.schema import COLUMNS, Recording
from runbook_lib.load.recordings.separate_runs import IDLE_S, find_runs
from runbook_lib.load.recordings.series import even_series

Span = tuple[pd.Timestamp, pd.Timestamp]
Spans = Sequence[Span]

_AT_WORK = 0.5
"""Of the CPU of the busiest tenth of the minutes with traffic: below it, a minute is not steady."""
_COMPUTES_VCPUS = 0.1
"""A node that uses more is at work, whatever its traffic."""
_SETTLE = pd.Timedelta("10s")
"""The sampling interval: the first readings after the load still average over it."""
_MINUTE = pd.Timedelta("1min")


def within(times: "pd.Series[pd.Timestamp]", spans: Spans) -> "pd.Series[bool]":
    """
    Return which times lie in one of the spans, both ends included.
    """
    rows = pd.Series(False, index=times.index)
    for began, ended in spans:
        rows |= times.between(began, ended)
    return rows


def steady(frame: pd.DataFrame, recording: Recording) -> pd.DataFrame:
    """
    Return the rows of the steady state: of the steps, or without steps of the minutes at work.
    """
    steps, stats = recording.steps.dropna(subset="steady_from"), recording.stats
    if not steps.empty:
        return frame[within(frame["time"], _spans(steps, "steady_from", "ended"))]
    if stats.empty:
        return frame
    # traffic may not have been recorded
    runs = find_runs(stats.reindex(columns=[*COLUMNS["stats"]])).dropna(subset="busy_from")
    busy = stats
    if len(runs):  # otherwise nothing crossed a network, and CPU alone has to tell
        busy = stats[within(stats["time"], _spans(runs, "busy_from", "busy_until"))]
    cpu = busy.groupby(busy["time"].dt.floor("1min"))["cpu_percent"].sum()
    minutes = cpu.index[cpu >= _AT_WORK * cpu.quantile(0.9)]
    steady: pd.DataFrame = frame[frame["time"].dt.floor("1min").isin(minutes)]
    return steady


def idle_spans(recording: Recording) -> Spans:
    """
    Return the times of a minute or more in which nothing was asked of the stack: no traffic, no
    step of a sweep, no decision of the autoscaler under load, and no node that computes.
    """
    spans: list[Span] = []
    for run in find_runs(recording.stats).to_dict("records"):
        if pd.isna(run["busy_from"]):
            spans.append((run["began"], run["ended"]))
        else:
            spans.append((run["began"], run["busy_from"] - _SETTLE))
            spans.append((run["busy_until"] + _SETTLE, run["ended"]))
    for began, ended in _asked(recording):
        spans = [piece for span in spans for piece in _without(span, began, ended)]
    for minute in _computing(recording.stats):
        spans = [piece for span in spans for piece in _without(span, minute, minute + _MINUTE)]
    return [(a, b) for a, b in spans if (b - a).total_seconds() >= IDLE_S]


def node_minutes(stats: pd.DataFrame) -> pd.DataFrame:
    """
    Return the CPU of each node in each minute in which it was sampled: node, time, cpu_percent,
    and net_out_bytes_per_s. Each reading is the median of itself and its neighbours, as a counter
    that jumps reads as thousands of per cent once.
    """
    known = stats.reindex(columns=[*COLUMNS["stats"]])  # traffic may not have been recorded
    known = known.sort_values("time", kind="stable", ignore_index=True)
    each = known.groupby(["node", "container"], sort=False)["cpu_percent"]
    before, after = each.shift(1), each.shift(-1)
    three = [before.fillna(after), known["cpu_percent"], after.fillna(before)]
    known["cpu_percent"] = pd.concat(three, axis=1).median(axis=1)
    series = even_series(known, ["node"], width_s=60)
    if series.empty:
        return series
    sampled = stats[["node"]].assign(time=stats["time"].dt.floor("1min")).drop_duplicates()
    return sampled.merge(series, on=["node", "time"]).sort_values(["node", "time"])


def _asked(recording: Recording) -> Spans:
    steps, decided = recording.steps, recording.autoscaler
    loaded = decided[decided["published_per_s"].gt(0) | decided["light"].ne("GREY")]
    loaded = loaded[loaded["load"].notna()]
    minutes = loaded["time"].dt.floor("1min").unique()
    return _spans(steps, "began", "ended") + [(minute, minute + _MINUTE) for minute in minutes]


def _spans(table: pd.DataFrame, began: str, ended: str) -> list[Span]:
    return list(zip(table[began], table[ended], strict=True))


def _computing(stats: pd.DataFrame) -> list[pd.Timestamp]:
    minutes = node_minutes(stats)
    return sorted(minutes.loc[minutes["cpu_percent"] > 100 * _COMPUTES_VCPUS, "time"].unique())


def _without(span: Span, began: pd.Timestamp, ended: pd.Timestamp) -> Spans:
    if ended <= span[0] or began >= span[1]:
        return [span]
    pieces = [(span[0], min(began, span[1])), (max(ended, span[0]), span[1])]
    return [(a, b) for a, b in pieces if a < b]
