"""
Samples of containers as a recording has them, every ten seconds.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from runbook_lib.load.recordings.schema import SCHEMAS, empty_frame

T0 = pd.Timestamp("2026-01-15T10:00:00Z")
EVERY_S = 10.0
Series = Callable[[np.ndarray], np.ndarray]


def at(second: float) -> pd.Timestamp:
    return T0 + pd.Timedelta(seconds=second)


def samples(
    node: str,
    service: str,
    *,
    until_s: float,
    since_s: float = 0,
    cpu: float | Series = 50.0,
    sent_per_s: float | Series = 0.0,
    number: int = 1,
) -> pd.DataFrame:
    """
    One container; `cpu` (100 is one CPU) and `sent_per_s` (bytes) are numbers, or take seconds.
    """
    seconds = np.arange(since_s, until_s + 1, EVERY_S)
    cpus, sent = (
        v(seconds) if callable(v) else np.full(len(seconds), v) for v in (cpu, sent_per_s)
    )
    counted = 1000 + np.cumsum(sent * EVERY_S)
    frame = pd.DataFrame(
        {
            "time": T0 + pd.to_timedelta(seconds, unit="s"),
            "node": node,
            "service": service,
            "container": f"{node}-{service}-{number}-{since_s:g}",
            "cpu_percent": cpus,
            "memory_bytes": 2e7,
            "memory_limit_bytes": 4e8,
            "net_in_bytes": counted,
            "net_out_bytes": counted,
            "block_in_bytes": 0.0,
            "block_out_bytes": 0.0,
            "pids": 3.0,
        }
    )
    return frame[SCHEMAS["stats"].names]


def decisions(
    running: list[float], *, every_s: float = 5.0, load: float = 0.65, since_s: float = 0
) -> pd.DataFrame:
    """
    An autoscaler that counted these replicas, and wanted what it had.
    """
    seconds = since_s + every_s * np.arange(len(running))
    frame = empty_frame("autoscaler").reindex(range(len(running)))
    light = "YELLOW" if load >= 0.5 else "GREY"
    known = {"time": T0 + pd.to_timedelta(seconds, unit="s"), "light": light, "load": load}
    return frame.assign(**known, running=running, wanted=running)
