"""
A writer for growing recordings: complete parts first, one file per table at the end.

Readers accept a folder of parts as a table, so a kill loses only the last seconds.
"""

import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from runbook_lib.load.recordings.schema import SCHEMAS

FLUSH_S = 5.0
_ROWS_IN_A_GROUP = 250_000


class RecordingWriter:
    """
    A thread-safe writer that adds a part of each table every few seconds.
    """

    def __init__(self, folder: Path, flush_s: float = FLUSH_S) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._flush_s = flush_s
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in SCHEMAS}
        self._written = dict.fromkeys(SCHEMAS, 0)
        self._lock = threading.Lock()
        self._flushed = time.monotonic()

    def add(self, table: str, row: tuple[Any, ...]) -> None:
        """
        Add a row; its values are in the order of the table's columns.
        """
        with self._lock:
            self._rows[table].append(row)
            if time.monotonic() - self._flushed > self._flush_s:
                self._flush()

    def flush(self) -> None:
        """
        Write what was added so far.
        """
        with self._lock:
            self._flush()

    def describe(self, experiment: dict[str, Any]) -> None:
        """
        Write `experiment.json` atomically.
        """
        partial = self.folder / ".experiment.json.partial"
        partial.write_text(json.dumps(experiment, indent=1), encoding="utf-8")
        partial.rename(self.folder / "experiment.json")

    def close(self) -> None:
        """
        Write the remaining rows, and join the parts of each table.
        """
        self.flush()
        for table in SCHEMAS:
            target = self.folder / f"{table}.parquet"
            if not target.is_dir():
                continue
            partial, parts = (
                self.folder / f".{target.name}.partial",
                self.folder / f".{table}.parts",
            )
            # few row groups: each one slows readers down
            rows = pl.scan_parquet(target / "part-*.parquet")
            rows.sink_parquet(partial, row_group_size=_ROWS_IN_A_GROUP)
            target.rename(parts)
            partial.rename(target)
            shutil.rmtree(parts)

    def _flush(self) -> None:
        for table, rows in self._rows.items():
            if not rows:
                continue
            schema = SCHEMAS[table]
            columns = dict(zip(schema.names, map(list, zip(*rows, strict=True)), strict=True))
            parts = self.folder / f"{table}.parquet"
            parts.mkdir(exist_ok=True)
            name = f"part-{self._written[table]:06}.parquet"
            partial = parts / f".{name}.partial"  # readers of the folder ignore names with a dot
            pq.write_table(pa.Table.from_pydict(columns, schema), partial)
            partial.rename(parts / name)
            self._written[table] += 1
            rows.clear()
        self._flushed = time.monotonic()
