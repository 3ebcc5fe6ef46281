"""
The recorder of containers on all nodes, queues, the autoscaler and events, in Parquet files.

Each node has one agent, on one channel of its SSH connection. The samples survive any end of the
recording: parts are written every few seconds, and one file per table at the end.
"""

import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import docker
import fabric
import pandas as pd

from runbook_lib.core.errors import CommandError
from runbook_lib.core.parallel import for_each
from runbook_lib.core.project import run_folder
from runbook_lib.geodiff.management_api import ManagementApi
from runbook_lib.hosts.clusters import Cluster
from runbook_lib.load.experiment.node_stream import NodeStream, Sink
from runbook_lib.load.experiment.plan import Experiment, Observation
from runbook_lib.load.recordings.writer import RecordingWriter
from runbook_lib.stacks.running.specs import find_specs

AUTOSCALER = "admin-worker"
UPDATER = "updater"
_SETTLED_S = 3.0
"""Time after the last step, for the broker's last counters."""


class QueueWatch:
    """
    A thread that polls the queues at a fixed rate, and sends rows of the table `queues` to a sink.
    """

    def __init__(self, api: ManagementApi, *, period_s: float, sink: Sink) -> None:
        self.polls = self.skipped = self.lost = 0
        self.done: list[tuple[float, float]] = []
        """Epoch seconds and tasks acknowledged so far, a pair for each poll."""
        self.trouble = ""
        self._api, self._period_s, self._sink = api, period_s, sink
        self._stop = threading.Event()
        self._poll()
        self._thread = threading.Thread(target=self._watch, name="queues", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(15)

    def _watch(self) -> None:
        began, number = time.monotonic(), 1
        while not self._stop.wait(max(0.0, began + number * self._period_s - time.monotonic())):
            try:
                self._poll()
            except Exception as error:
                self.lost += 1
                self.trouble = str(error) if isinstance(error, CommandError) else repr(error)[:500]
            due = int((time.monotonic() - began) / self._period_s)
            self.skipped += max(0, due - number)
            number = max(number, due) + 1

    def _poll(self) -> None:
        queues = self._api.queues()
        now = time.time()
        for q in queues:
            counters = (q.published, q.delivered, q.acknowledged)
            row = (q.name, q.ready, q.unacknowledged, *counters, q.consumers)
            self._sink("queues", (datetime.fromtimestamp(now, UTC), *row))
            if q.name == "TASK_QUEUE" and not math.isnan(q.acknowledged):
                self.done.append((now, q.acknowledged))
        self.polls += 1


class Recorder:
    """
    A recording in progress; `watch` is None for a stack without queues.
    """

    def __init__(self, writer: RecordingWriter, watch: QueueWatch | None) -> None:
        self.folder = writer.folder
        self.watch = watch
        self.streams: dict[str, NodeStream] = {}
        self.add, self.flush = writer.add, writer.flush

    @property
    def table(self) -> pd.DataFrame:
        """
        Return the recording's cost and gaps, one row per source; columns: source, samples, skipped
        (the node was too busy), lost (the stream broke off), cpu_percent (of one CPU), trouble.
        """
        rows = [
            (s.role, s.ticks, s.skipped, s.lost, round(s.cpu_percent, 2), s.ended)
            for s in self.streams.values()
        ]
        if watch := self.watch:
            counts = (watch.polls, watch.skipped, watch.lost)
            rows.append(("queues", *counts, float("nan"), watch.trouble))
        columns = ["source", "samples", "skipped", "lost", "cpu_percent", "trouble"]
        return pd.DataFrame(rows, columns=columns)

    @property
    def done(self) -> list[tuple[float, float]]:
        """
        Epoch seconds and tasks acknowledged so far; none without queues.
        """
        return self.watch.done if self.watch else []


def load_folder() -> Path:
    """
    Return the folder of this recording: `load` in the folder of the headless run, or of a new one.
    """
    return run_folder() / "load"


@contextmanager
def recording(
    connections: Mapping[str, fabric.Connection],
    api: ManagementApi | None,
    experiment: Experiment | Observation,
    facts: Mapping[str, Any],
    folder: Path,
) -> Iterator[Recorder]:
    """
    Record until the block ends; the folder then has one file per table.

    Parameters
    ----------
    connections
        One per node, by role.
    api
        The broker's counters; None for a stack without queues.
    facts
        The result of `cluster_facts`, for `experiment.json`; for a stack that is only observed,
        also that of `stack_facts`.
    """
    writer = RecordingWriter(folder)
    period_s = experiment.sample_period_s
    described = {**asdict(experiment), **facts}
    if isinstance(experiment, Experiment):
        described["autoscaler_held"] = experiment.held
    described["began"] = datetime.now(UTC).isoformat()
    writer.describe(described)
    roles = {name: role for role, name in facts["hostnames"].items()}
    plan = {"period_s": period_s, "since": time.time(), "services": [AUTOSCALER, UPDATER]}
    watch = QueueWatch(api, period_s=period_s, sink=writer.add) if api else None
    recorder = Recorder(writer, watch)
    try:
        for role, connection in connections.items():
            stream = NodeStream(role, connection, roles=roles, plan=plan, sink=writer.add)
            recorder.streams[role] = stream
        for_each("Samples", recorder.streams, lambda stream: stream.wait_for_first())
        yield recorder
        if watch:
            time.sleep(_SETTLED_S)
    finally:
        now = time.time()
        if watch:
            watch.stop()
        for stream in recorder.streams.values():
            stream.stop(now)
        described["ended"] = datetime.now(UTC).isoformat()
        described["recorder"] = recorder.table.set_index("source").fillna("").to_dict("index")
        writer.describe(described)
        writer.close()


def cluster_facts(here: Cluster) -> dict[str, Any]:
    """
    Return facts for the analysis: instance type, CPUs and memory of a node, the engines' versions.
    """
    instance_type = here.instances["worker-1"].instance_type
    (kind,) = here.ec2.describe_instance_types(InstanceTypes=[instance_type])["InstanceTypes"]  # type: ignore[list-item]  # a literal of hundreds
    infos = {role: engine.info() for role, engine in here.engines.items()}
    return {
        "cluster": here.name,
        "instance_type": instance_type,
        "vcpus": kind["VCpuInfo"]["DefaultVCpus"],
        "memory_bytes": kind["MemoryInfo"]["SizeInMiB"] * 2**20,
        "engine_versions": {role: info["ServerVersion"] for role, info in infos.items()},
        "hostnames": {role: info["Name"] for role, info in infos.items()},
    }


def stack_facts(manager: docker.DockerClient, stack: str) -> dict[str, Any]:
    """
    Return what the analysis cannot know of a stack that is not Geo-Diff's: its name, and the CPU
    limit of a container of each service that has one.
    """
    specs = find_specs(manager, stack)
    limits = {
        name: (spec["TaskTemplate"].get("Resources") or {}).get("Limits", {}).get("NanoCPUs", 0)
        for name, spec in specs.items()
    }
    return {"stack": stack, "cpu_limits": {name: n / 1e9 for name, n in limits.items() if n}}
