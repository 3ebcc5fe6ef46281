"""
A sweep made up from a law that is known, as the recorder would have written it.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from runbook_lib.load.analysis.usl import curve
from runbook_lib.load.recordings.schema import SCHEMAS

LAMBDA_PER_S, SIGMA, KAPPA = 40.0, 0.03, 0.018
"""Its peak is at 8.9 workers; six are the fewest within 5 % of what one to eight reach."""
COUNTS = (4, 1, 8, 2, 8, 4, 2, 1)
NOISE = 0.01
STEP_S, WARM_UP_S, SAMPLE_S = 90, 20, 2
WORKER_S, MANAGER_S = 0.012, 0.004
"""The CPU of a tile on all worker nodes, and on the manager."""
BEGAN = pd.Timestamp("2026-01-15T10:00:00Z")


def rate_of(replicas: float) -> float:
    terms = np.array([1, SIGMA, KAPPA]) / LAMBDA_PER_S
    return float(curve(terms, np.array([float(replicas)]))[0])


def write_sweep(folder: Path, counts: tuple[int, ...] = COUNTS, *, waiting: float = 800) -> Path:
    """
    Write the tables of one sweep; with `waiting` 0 the dealer set the pace.
    """
    random = np.random.default_rng(3)
    tables: dict[str, list[pd.DataFrame]] = {name: [] for name in SCHEMAS}
    for step, replicas in enumerate(counts):
        began = BEGAN + pd.Timedelta(seconds=step * (STEP_S + 10))
        seconds = np.arange(0, STEP_S + 1, SAMPLE_S)
        times = began + pd.to_timedelta(seconds, unit="s")
        rate = rate_of(replicas) * np.exp(NOISE * random.standard_normal())
        steady = began + pd.Timedelta(seconds=WARM_UP_S)
        tables["steps"].append(_step(step, counts[:step].count(replicas), replicas, steady, times))
        for number in range(1, replicas + 1):
            done = np.floor(rate / replicas * seconds)
            node = f"worker-{1 + (number - 1) % 4}"
            own = {"time": times, "task": f"{step}-{number}", "node": node, "tiles_done": done}
            tables["workers"].append(pd.DataFrame(own))
        tables["queues"].append(
            pd.DataFrame({"time": times, "queue": "TASK_QUEUE", "ready": waiting})
        )
        for node in ("manager", *(f"worker-{n}" for n in range(1, 5))):
            tables["stats"].append(_samples(node, f"{step}", times, seconds, rate, random))
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in SCHEMAS.items():
        if tables[name]:
            frame = pd.concat(tables[name], ignore_index=True).reindex(columns=schema.names)
            pq.write_table(
                pa.Table.from_pandas(frame, schema, safe=False), folder / f"{name}.parquet"
            )
    told = {"batch": 300, "wait_s": 1.0, "qty_task": 50, "refresh_rate_s": 5, "min_scale": 4}
    told |= {"max_scale": 8, "worker_cpus": 0.0, "instance_type": "t2.micro"}
    told |= {"autoscaler_held": True, "vcpus": 1, "memory_bytes": 2**30}
    (folder / "experiment.json").write_text(json.dumps(told))
    return folder


def _step(
    step: int, repetition: int, replicas: int, steady: pd.Timestamp, times: pd.DatetimeIndex
) -> pd.DataFrame:
    row = {"step": step, "repetition": repetition, "replicas": replicas, "began": times[0]}
    return pd.DataFrame([row | {"steady_from": steady, "ended": times[-1]}])


def _samples(
    node: str,
    name: str,
    times: pd.DatetimeIndex,
    seconds: np.ndarray,
    rate: float,
    random: np.random.Generator,
) -> pd.DataFrame:
    manager = node == "manager"
    vcpus = rate * (MANAGER_S if manager else WORKER_S / 4)
    sent = 90_000.0 * rate * seconds / (1 if manager else 4)
    return pd.DataFrame(
        {
            "time": times,
            "node": node,
            "service": "rabbitmq" if manager else "worker",
            "container": f"{node}-{name}",
            "cpu_percent": 100 * vcpus * (1 + 0.03 * random.standard_normal(len(times))),
            "memory_bytes": 6e7,
            "memory_limit_bytes": 4e8,
            "net_in_bytes": sent / 10,
            "net_out_bytes": sent,
            "block_in_bytes": 0.0,
            "block_out_bytes": 0.0,
            "pids": 3.0,
        }
    )
