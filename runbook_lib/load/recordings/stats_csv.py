"""
One file of `docker stats` rows by the authors of Geo-Diff, cleaned one block at a time.

Header `UPTIME,CONTAINER ID,NAME,CPU %,MEM USAGE,MEM LIMIT,MEM %, NET I,NET O,BLOCK I,BLOCK O,PIDS`,
in any order and with any spaces, gzipped or not. `MEM %` is not read: it is usage / limit.
"""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from runbook_lib.core.errors import IntegrityError
from runbook_lib.load.recordings.counters import COUNTERS
from runbook_lib.load.recordings.log_file import LONGEST_LINE, opened, unlike

BLOCK_BYTES = 8_000_000
_ROWS = "rows of docker stats"
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
COLUMNS = IDENTITY | MEASURES
PLAIN = set(MEASURES.values()) - {"cpu_percent"}
UNITS = {
    **{"": 1.0, "%": 1.0, "B": 1.0},
    **{f"{letter}B": 1000.0**power for power, letter in enumerate("KMGTP", 1)},
    **{f"{letter}IB": 1024.0**power for power, letter in enumerate("KMGTP", 1)},
}
"""Docker's units, case-insensitive: kB is 1000 bytes, KiB 1024; a plain number is bytes."""
NUMBER = r"^(?<number>\d+(?:\.\d*)?(?:[eE]\+?\d+)?) ?(?<unit>[A-Za-z%]*)$"
NOT_MEASURED = ["", "--"]

GONE = "rows of containers that were going away (--)"
ZERO = "rows of containers that no longer ran (all zero)"
HEADER = "header lines repeated among the rows"
CUT = "rows with another number of columns than the header (cut short?)"
UNREAD = "rows with a value that cannot be read"


class StatsCsv:
    """
    The rows of one file; `left_out` counts, by reason, the rows that were dropped.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left_out: Counter[str] = Counter()
        self.notes: list[str] = []
        self.rows = 0
        self._example = ""
        self._ids = pl.Categorical(pl.Categories.random())  # per file: numbered from 0

    def blocks(self) -> Iterator[pl.DataFrame]:
        """
        Yield the good rows in the file's order: clock_s (seconds of the day), container
        (categories numbered from 0), service (as written), and the measures (null: not measured).

        Raises IntegrityError if the header lacks a time or container column, or most rows are
        broken.
        """
        try:
            with opened(self.path, _ROWS) as file:
                lines = iter(lambda: file.readline(LONGEST_LINE), b"")
                header = next((line for line in lines if line.strip()), b"")
                columns: list[str] = []
                while data := file.read(BLOCK_BYTES) + (rest := file.readline(LONGEST_LINE)):
                    if len(rest) == LONGEST_LINE:
                        raise self._refused("a line has no end", f"it begins: {rest[:100]!r}")
                    columns = columns or self._read_header(header.decode("utf-8-sig", "replace"))
                    good = self._good_rows(data, columns)
                    self.rows += len(good)
                    yield good
        except pl.exceptions.PolarsError as error:
            raise self._refused("it cannot be read", str(error)) from error
        broken = self.left_out[CUT] + self.left_out[UNREAD]
        if broken > self.rows:
            why = f"{broken} of {broken + self.rows} are broken"
            raise self._refused(why, f"for instance: {self._example}")
        if not self.rows:
            self.notes.append(f"{self.path.name} is left out: no sample of a running container")

    def _refused(self, why: str, evidence: str) -> IntegrityError:
        return unlike(self.path, _ROWS, why, evidence)

    def _read_header(self, line: str) -> list[str]:
        """
        Return the file's columns under our names; `_<position>` is a column to skip.
        """
        names = [" ".join(name.upper().split()) for name in line.split(",")]
        problems = [f"no column {name}" for name in IDENTITY if name not in names]
        problems += [f"{name} twice" for name in COLUMNS if names.count(name) > 1]
        if problems or not set(names) & set(MEASURES):
            raise self._refused(
                f"its header has {', '.join(problems) or 'no measure'}",
                f"first line: {line[:200].strip()}\nexpected:   {','.join(COLUMNS)}",
            )
        self.notes += [
            f"{self.path.name} has no column {name}: not measured there"
            for name in MEASURES
            if name not in names
        ]
        return [COLUMNS.get(name, f"_{n}") for n, name in enumerate(names)]

    def _good_rows(self, data: bytes, columns: list[str]) -> pl.DataFrame:
        """
        Drop the bad rows, each counted under the first matching reason.
        """
        rows = _parsed(_cells(data, columns))
        reasons = _reasons()
        if rows.select(pl.any_horizontal(*reasons.values()).any()).item():
            named = (pl.when(left_out).then(pl.lit(why)) for why, left_out in reasons.items())
            reason = rows.select(pl.coalesce(named)).to_series()
            self.left_out.update(reason.drop_nulls().to_list())
            broken = reason.is_in([CUT, UNREAD]).arg_true()
            if len(broken) and not self._example:
                self._example = _lines(data)["line"][broken[0]][:200]
            rows = rows.filter(reason.is_null())
        names = pl.col("container").cast(self._ids), pl.col("service").cast(pl.Categorical)
        return rows.select("clock_s", *names, *MEASURES.values())


def _lines(data: bytes) -> pl.DataFrame:
    return pl.read_lines(data).filter(pl.col("line").str.contains(r"[^\s,]"))


def _cells(data: bytes, columns: list[str]) -> pl.DataFrame:
    """
    Read the needed columns, and `whole`: whether the row has as many cells as the header.

    Lines of plain numbers only go through the CSV reader, which takes a third of the time.
    """
    wanted = [name for name in columns if name in COLUMNS.values()]
    types = {name: pl.Float64 if name in PLAIN else pl.String for name in columns}
    try:
        plain = pl.scan_csv(data, has_header=False, schema=types, quote_char=None)
        cells = plain.select(wanted).collect()
    except (pl.exceptions.ComputeError, pl.exceptions.SchemaError):
        pass  # units, or lines that are not rows
    else:
        if not sum(cells.null_count().row(0)):
            return cells.with_columns(whole=True)
    split = pl.col("line").str.split_exact(",", len(columns)).struct
    named = split.rename_fields([*columns, "more"]).alias("cells")
    whole = pl.col(columns[-1]).is_not_null() & pl.col("more").is_null()
    return _lines(data).select(named).unnest("cells").select(*wanted, whole=whole)


def _parsed(cells: pl.DataFrame) -> pl.DataFrame:
    cells = cells.with_columns(pl.col(pl.String).str.strip_chars())
    seconds = pl.col("clock_s").str.to_time("%H:%M:%S", strict=False).cast(pl.Int64) / 1e9
    measured = [name for name in MEASURES.values() if name in cells.columns]
    absent = dict.fromkeys(set(MEASURES.values()) - set(measured), pl.lit(None, pl.Float64))
    return cells.with_columns(seconds, *(_numbers(cells[name]) for name in measured), **absent)


def _numbers(words: pl.Series) -> pl.Series:
    """
    Parse a column of strings: null where not measured, NaN where a string is not a number.

    Only distinct strings are parsed for units: sizes are rounded, so they repeat.
    """
    if words.dtype == pl.Float64:
        return words
    plain = words.str.strip_suffix("%").cast(pl.Float64, strict=False)
    others = ~plain.is_between(0, math.inf, closed="left").fill_null(value=False)
    if not others.any():
        return plain
    distinct = words.filter(others).unique().drop_nulls()
    parts = distinct.str.extract_groups(NUMBER).struct
    units = parts.field("unit").str.to_uppercase()
    factors = units.replace_strict(UNITS, default=None, return_dtype=pl.Float64)
    numbers = (parts.field("number").cast(pl.Float64) * factors).fill_null(math.nan)
    known = dict(zip(distinct, numbers, strict=True)) | dict.fromkeys(NOT_MEASURED)
    return words.replace_strict(known, default=plain, return_dtype=pl.Float64)


def _reasons() -> dict[str, pl.Expr]:
    container, service = pl.col("container"), pl.col("service")
    alive = pl.col("memory_bytes", "pids")
    possible = pl.col(list(MEASURES.values())).is_between(0, math.inf, closed="left")
    idle = ~pl.any_horizontal(alive > 0, pl.col(COUNTERS) > 0).fill_null(value=False)
    return {
        CUT: ~pl.col("whole") & container.ne_missing("--"),
        HEADER: container == "CONTAINER ID",
        GONE: (container == "--") | service.is_in(["--", "0"]),
        UNREAD: pl.any_horizontal(
            pl.col("clock_s").is_null(), container == "", service == "", ~possible
        ),
        # a running container has a process and memory: a row without them is its end, not a restart
        ZERO: idle & pl.any_horizontal(alive.is_not_null()),
    }
