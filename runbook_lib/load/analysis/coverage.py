"""
What a recording covers: each node from when to when, and how many of the wanted workers were seen;
and what it cannot tell, in one box.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from runbook_lib.core.findings import Finding
from runbook_lib.core.tables import frame_html, html_table
from runbook_lib.core.words import count_of, sentence
from runbook_lib.load.analysis.at_work import Span, within
from runbook_lib.load.analysis.machine_views import IN_SAMPLES, replicas_over_time
from runbook_lib.load.analysis.machines import worker_nodes
from runbook_lib.load.recordings.schema import Recording

LONGEST_GAP_S = 60.0
"""Or five times the usual spacing: a shorter one hides nothing that lasts."""
PART = 0.8
"""Of the time of the samples: a table that covers less is told."""
MOST_GAPS = 3
"""Named for each node; the others are counted."""

_BOX = Markup(
    '<div style="border-left:6px solid #e8590c;background:#f6f8f7;padding:10px 20px;'
    'max-width:820px;color:#1f2933">{}</div>'
)


@dataclass(frozen=True)
class Coverage:
    """
    Columns of `nodes`: node, from, to, samples, containers (at most, at once), longest gap (s).
    `workers` says how many were wanted and seen; `gaps` are the sentences of what is missing, by
    what it is about.
    """

    nodes: pd.DataFrame
    workers: str
    gaps: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        return f"{self.nodes.to_string(index=False)}\nWorkers: {self.workers}"

    def _repr_html_(self) -> Markup:
        words = Markup("<p>Workers: {}.</p>").format(self.workers)
        return frame_html(self.nodes) + words


@dataclass(frozen=True)
class Open:
    """
    What a recording cannot tell, and why, as one box.
    """

    rows: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {words}" for name, words in self.rows) or _COMPLETE

    def _repr_html_(self) -> Markup:
        return _BOX.format(html_table([], self.rows) if self.rows else _COMPLETE)


_COMPLETE = "Nothing that this page asks for is missing."


def find_coverage(recording: Recording) -> Coverage:
    """
    Compare what was recorded with what there was.
    """
    stats = recording.stats
    silent = _gaps(stats["time"])
    rows, gaps = [], []
    sampled = set(stats["node"].unique())
    if silent:
        gaps.append(("All nodes", f"no sample {_named(silent)}"))
    for node, own in stats.groupby("node"):
        moments = own.groupby("time").size()
        own_gaps = _gaps(own["time"], stats["time"].min(), stats["time"].max())
        own_gaps = [gap for gap in own_gaps if not any(_same(gap, other) for other in silent)]
        longest = max([(b - a).total_seconds() for a, b in own_gaps], default=0.0)
        first, last = own["time"].min(), own["time"].max()
        span = (f"{first:%H:%M:%S}", f"{last:%H:%M:%S}")
        rows.append((str(node), *span, len(moments), int(moments.max()), round(longest)))
        if own_gaps:
            gaps.append((str(node), f"no sample, or no container, {_named(own_gaps)}"))
    columns = ["node", "from", "to", "samples", "containers", "longest gap (s)"]
    gaps += [
        (node, "not sampled: what ran there is missing")
        for node in ("manager", *worker_nodes(recording))
        if node not in sampled
    ]
    workers, are_all = _workers(recording)
    gaps += [] if are_all else [("Workers", workers)]
    gaps += _partly(recording) + _unknown(recording)
    return Coverage(pd.DataFrame(rows, columns=columns), workers, tuple(gaps))


def cannot_tell(
    coverage: Coverage, findings: Mapping[str, object], limits: Iterable[str] = ()
) -> Open:
    """
    Collect what is missing: the gaps, the findings that have no picture, and an analysis's limits.
    """
    known = {name for name, _ in coverage.gaps}
    missing = [
        (name, f"needs {finding.words}")
        for name, finding in findings.items()
        if isinstance(finding, Finding) and finding.picture is None and name not in known
    ]
    rows = [("The answer", sentence(limit)) for limit in limits]
    return Open((*rows, *missing, *coverage.gaps))


def _gaps(
    times: "pd.Series[pd.Timestamp]",
    since: pd.Timestamp | None = None,
    until: pd.Timestamp | None = None,
) -> list[Span]:
    moments = times.drop_duplicates().sort_values()
    limit = max(pd.Timedelta(seconds=LONGEST_GAP_S), 5 * moments.diff().median())
    edges = [pd.Series([edge]) for edge in (since, until) if edge is not None]
    moments = pd.concat([moments, *edges]).sort_values(ignore_index=True)
    after = moments.index[moments.diff() > limit]
    return [(moments[place - 1], moments[place]) for place in after]


def _same(gap: Span, other: Span) -> bool:
    shared = min(gap[1], other[1]) - max(gap[0], other[0])
    return bool(shared >= 0.8 * (gap[1] - gap[0]))


def _named(gaps: list[Span]) -> str:
    named = ", ".join(f"{a:%H:%M:%S} to {b:%H:%M:%S}" for a, b in gaps[:MOST_GAPS])
    more = len(gaps) - MOST_GAPS
    return f"from {named}" + (f", and {count_of(more, 'other gap')}" if more > 0 else "")


def _workers(recording: Recording) -> tuple[str, bool]:
    """
    Return how many workers were wanted and seen, and whether all of them were seen.
    """
    if not recording.steps.empty:
        return _workers_of_steps(recording)
    table = replicas_over_time(recording).reindex(columns=["requested", IN_SAMPLES])
    both, seen = table.dropna(), table[IN_SAMPLES].dropna()
    if table["requested"].isna().all():
        words = f"{seen.mean():.1f} in the samples" if len(seen) else "none in the samples"
        return f"{words}; how many were wanted is not recorded", True
    if seen.empty:
        return f"{table['requested'].max():.0f} wanted at most, none in the samples", False
    if both.empty:
        return "wanted and sampled at different times: who did the work is unknown", False
    low, high = both["requested"].min(), both["requested"].max()
    means = both.mean()
    wanted = f"{low:.0f} to {high:.0f} wanted, {means['requested']:.1f} on average"
    wanted = wanted if low < high else f"{low:.0f} wanted all the time"
    words = f"{wanted}; {means[IN_SAMPLES]:.1f} seen in the samples of the same time"
    if means[IN_SAMPLES] >= means["requested"] - 0.5:
        return words, True
    return f"{words}: the CPU and traffic of the others are missing", False


def _workers_of_steps(recording: Recording) -> tuple[str, bool]:
    workers, told = recording.stats[recording.stats["service"] == "worker"], recording.workers
    short, wanted = [], []
    for step in recording.steps.to_dict("records"):
        span = [(step["began"], step["ended"])]
        containers = workers.loc[within(workers["time"], span), "container"].nunique()
        seen = max(containers, told.loc[within(told["time"], span), "task"].nunique())
        wanted.append(step["replicas"])
        if seen < step["replicas"]:
            short.append(f"{seen} of {step['replicas']} in step {step['step']}")
    words = f"{min(wanted)} to {max(wanted)} wanted in {count_of(len(wanted), 'step')}"
    if short:
        return f"{words}; not all were seen: {', '.join(short)}", False
    return f"{words}, all seen", True


def _partly(recording: Recording) -> list[tuple[str, str]]:
    """
    Name the tables that cover less than the samples do.
    """
    rows = []
    stats = recording.stats["time"]
    for name, table in (("Autoscaler", recording.autoscaler), ("Queues", recording.queues)):
        if table.empty or stats.empty:
            continue
        first, last = max(table["time"].min(), stats.min()), min(table["time"].max(), stats.max())
        if last - first < PART * (stats.max() - stats.min()):
            times = f"{table['time'].min():%H:%M} to {table['time'].max():%H:%M}"
            whole = f"{stats.min():%H:%M} to {stats.max():%H:%M}"
            rows.append((name, f"recorded from {times}, the containers from {whole}"))
    return rows


def _unknown(recording: Recording) -> list[tuple[str, str]]:
    known, rows = recording.experiment, []
    if "instance_type" not in known:
        rows.append(("Instance type", "not named: that of the parameter is assumed"))
    if not {"cpu_limits", "worker_cpus"} & known.keys():
        rows.append(("CPU limits", "those of the containers are not recorded"))
    if recording.queues.empty:
        rows.append(("Queues", "not recorded: which side falls behind is unknown"))
    return rows
