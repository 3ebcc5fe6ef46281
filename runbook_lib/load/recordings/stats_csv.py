"""
One file of `docker stats` rows, as the authors of Geo-Diff wrote it, cleaned a block at a time.

Header `UPTIME,CONTAINER ID,NAME,CPU %,MEM USAGE,MEM LIMIT,MEM %, NET I,NET O,BLOCK I,BLOCK O,PIDS`,
in any order and with any spaces; gzip or not.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from runbook_lib.core.errors import IntegrityError
from runbook_lib.load.recordings.docker_values import Column, service_name

BLOCK_BYTES = 8_000_000
IDENTITY = {"UPTIME": "clock_s", "CONTAINER ID": "container", "NAME": "service"}
MEASURES = {
    "CPU %": "cpu_percent",
    "MEM USAGE": "memory_bytes",
    "MEM LIMIT": "memory_limit_bytes",
    "NET I": "net_in_bytes",
    "NET O": "net_out_bytes",
    "BLOCK I": "block_in_bytes",
    "BLOCK O": "block_out_bytes",
    "PIDS": "pids",
}
UNUSED = {"MEM %"}  # usage by limit: it is computed where it is shown
PLAIN = set(MEASURES.values()) - {"cpu_percent"}
COUNTERS = ["net_in_bytes", "net_out_bytes", "block_in_bytes", "block_out_bytes"]

GONE = "rows of containers that were going away (--)"
ZERO = "rows of containers that no longer ran (all zero)"
HEADER = "header lines repeated among the rows"
CUT = "rows with another number of columns than the header (cut short?)"
UNREAD = "rows with a value that cannot be read"


class StatsCsv:
    """
    The rows of one file; `left_out` counts, by reason, what was dropped on the way.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left_out: Counter[str] = Counter()
        self.notes: list[str] = []
        self.rows = 0
        self._uneven: Counter[str] = Counter()  # of these, the rows that the CSV reader skipped
        self.containers: dict[str, int] = {}
        self.services: dict[str, int] = {}
        self._example = ""
        self._who = 0  # which column is the container's

    def chunks(self) -> Iterator[pd.DataFrame]:
        """
        Blocks of rows in the file's order: clock_s (seconds of the day), container and service
        (positions in the dicts of those names), and the measures.

        Raises
        ------
        IntegrityError
            The header lacks a column that says when or who, or more rows are broken than whole.
        """
        columns, skipped = self._header()
        if columns:
            try:
                yield from self._blocks(columns, skipped)
            except (pa.ArrowInvalid, OSError) as error:
                if "Empty CSV" not in str(error):
                    raise self._refused("it cannot be read", str(error)) from error
        self.left_out += self._uneven
        broken = self.left_out[CUT] + self.left_out[UNREAD]
        if broken > self.rows:
            what = f"{broken} of {broken + self.rows} are broken"
            raise self._refused(what, f"for instance: {self._example}")
        if not self.rows:
            self.notes.append(f"{self.path.name} is left out: no sample of a running container")

    def _refused(self, seen: str, evidence: str) -> IntegrityError:
        return IntegrityError(
            f"expected rows of docker stats in {self.path.name}; {seen}",
            evidence=evidence,
            next_step=f"look at the file:  head -3 {self.path}",
        )

    def _header(self) -> tuple[list[str], int]:
        """
        The file's columns as we name them, and how many lines stand before the first row.
        """
        try:
            with pa.input_stream(str(self.path), compression="detect") as stream:
                lines = stream.read(64_000).decode("utf-8-sig", errors="replace").splitlines()
        except OSError as error:
            raise self._refused("it cannot be read", str(error)) from error
        at = next((n for n, line in enumerate(lines) if line.strip()), None)
        if at is None or not any(line.strip() for line in lines[at + 1 :]):
            return [], 0
        names = [" ".join(name.upper().split()) for name in lines[at].split(",")]
        problems = [f"no column {name}" for name in IDENTITY if name not in names]
        problems += [f"{name} twice" for name in IDENTITY | MEASURES if names.count(name) > 1]
        if problems or not set(names) & set(MEASURES):
            raise self._refused(
                f"its header has {', '.join(problems) or 'no measure'}",
                f"first line: {lines[at][:200]}\nexpected:   {','.join([*IDENTITY, *MEASURES])}",
            )
        self.notes += [
            f"{self.path.name} has no column {name}: not measured there"
            for name in MEASURES
            if name not in names
        ]
        ours = IDENTITY | MEASURES
        return [ours.get(name, f"_{n}") for n, name in enumerate(names)], at + 1

    def _blocks(self, columns: list[str], skipped: int) -> Iterator[pd.DataFrame]:
        self._who = columns.index("container")
        done = 0
        for plain in (True, False):  # numbers at once; from the first that is none, as words
            try:
                for batch in self._batches(columns, skipped, plain=plain, done=done):
                    done += 1
                    chunk = self._clean(batch)
                    self.rows += len(chunk)
                    if len(chunk):
                        yield chunk
            except pa.ArrowInvalid as error:
                if not plain or "conversion error to double" not in str(error):
                    raise
            else:
                return

    def _batches(
        self, columns: list[str], skipped: int, *, plain: bool, done: int
    ) -> Iterator[pa.RecordBatch]:
        """
        The file's blocks after the first few: they always end at the same rows.
        """
        words = pa.dictionary(pa.int32(), pa.string())
        wanted = [name for name in columns if not name.startswith("_")]
        types = dict.fromkeys(wanted, words)
        if plain:
            types |= {name: pa.float64() for name in wanted if name in PLAIN}
        self._uneven.clear()  # all rows come by again
        with pa.input_stream(str(self.path), compression="detect") as stream:
            reader = csv.open_csv(
                stream,
                csv.ReadOptions(column_names=columns, skip_rows=skipped, block_size=BLOCK_BYTES),
                csv.ParseOptions(quote_char=False, invalid_row_handler=self._skip_cut_row),
                csv.ConvertOptions(column_types=types, include_columns=wanted, null_values=[]),
            )
            yield from itertools.islice(reader, done, None)

    def _skip_cut_row(self, row: csv.InvalidRow) -> str:
        words = [word.strip() for word in row.text.split(",")]
        if "--" in words[self._who : self._who + 1]:  # in the published logs it lacks a column
            self._uneven[GONE] += 1
        elif any(words):
            self._uneven[CUT] += 1
            self._example = self._example or row.text[:200]
        return "skip"

    def _clean(self, batch: pa.RecordBatch) -> pd.DataFrame:
        """
        The batch's good rows; a bad one is counted once, under the first reason that fits.
        """
        left = np.ones(batch.num_rows, dtype=bool)

        def drop(rows: npt.NDArray[np.bool_], reason: str) -> None:
            hit = left & rows
            if hit.any():
                self.left_out[reason] += int(hit.sum())
                left[hit] = False
                if reason == UNREAD and not self._example:
                    first = batch.slice(int(hit.argmax()), 1).to_pylist()[0]
                    self._example = ",".join(map(str, first.values()))

        column = {
            name: Column(batch.column(name))
            for name, kind in zip(batch.schema.names, batch.schema.types, strict=True)
            if not pa.types.is_floating(kind)
        }
        container, service = column["container"], column["service"]
        drop(container.isin("CONTAINER ID"), HEADER)
        drop(container.isin("--") | service.isin("--", "0"), GONE)
        values = {"clock_s": column["clock_s"].seconds_of_day()}
        drop(np.isnan(values["clock_s"]) | container.isin("") | service.isin(""), UNREAD)
        for name in MEASURES.values():
            if name in column:
                values[name], unread = column[name].numbers()
                drop(unread, UNREAD)
            elif name in batch.schema.names:
                values[name] = batch.column(name).to_numpy(zero_copy_only=False)
                drop(~(values[name] >= 0), UNREAD)  # to the CSV reader "nan" is a number
            else:
                values[name] = np.full(batch.num_rows, np.nan)
        drop(_no_longer_ran(values), ZERO)
        every = left.all()
        chunk = pd.DataFrame({n: v if every else v[left] for n, v in values.items()})
        chunk["container"] = container.codes_in(self.containers, str, left)
        chunk["service"] = service.codes_in(self.services, service_name, left)
        return chunk


def _no_longer_ran(values: dict[str, npt.NDArray[np.float64]]) -> npt.NDArray[np.bool_]:
    """
    What runs has a process and some memory: a row without is an end, not a restart.
    """
    alive = [values["memory_bytes"], values["pids"]]
    nothing = np.all([~(v > 0) for v in [*alive, *(values[name] for name in COUNTERS)]], axis=0)
    measured = np.any([~np.isnan(v) for v in alive], axis=0)
    found: npt.NDArray[np.bool_] = nothing & measured
    return found
