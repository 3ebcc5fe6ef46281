"""
One file of `docker stats` rows with a time, cleaned one block at a time.

Header `UPTIME,CONTAINER ID,NAME,CPU %,MEM USAGE,MEM LIMIT,MEM %, NET I,NET O,BLOCK I,BLOCK O,PIDS`
by the authors of Geo-Diff, or any that `stats_layout` knows, in any order, gzipped or not, or lines
of JSON. `MEM %` is not read: it is usage / limit.
"""

import math
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from runbook_lib.core.errors import IntegrityError
from runbook_lib.load.recordings.clocks import clock_column, names_its_zone, seconds_of
from runbook_lib.load.recordings.counters import COUNTERS
from runbook_lib.load.recordings.log_file import LONGEST_LINE, opened, unlike
from runbook_lib.load.recordings.stats_layout import (
    ALIASES,
    COMMA,
    PAIRS,
    PODMANS,
    Layout,
    column_places,
    layout_of,
    normal,
    number,
    objects,
)
from runbook_lib.load.recordings.wall_clock import DATED_S

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
UNLIMITED_BYTES = 2.0**60
"""Docker prints no limit as 0, or as the largest number of the kernel."""
NOT_MEASURED = ["", "-", "--", "-- / --", "N/A", "n/a", "null", "<nil>", "<no value>"]
NO_CPU = {"nan", "inf", "+inf", "-inf"}
"""Docker's quotient when the machine's clock stood still; the other columns are good."""

TIMED_JSON = (
    "record each object with its time:  while sleep 1; do docker stats --no-stream --format json"
    " | jq -c '. + {time: now}'; done"
)
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
        self.dated: bool | None = None
        """Whether the times are epoch seconds, not of a day; None before the first row."""
        self._example = ""
        self._line = 0
        self._layout = Layout()
        self._absent: dict[str, str] = {}
        self._ids = pl.Categorical(pl.Categories.random())  # per file: numbered from 0

    def blocks(self) -> Iterator[pl.DataFrame]:
        """
        Yield the good rows in the file's order: clock_s, container (categories numbered from 0),
        service (as written), and the measures (null: not measured).

        Raises IntegrityError if the header lacks a time or container column, or most rows are
        broken.
        """
        try:
            with opened(self.path, _ROWS) as file:
                lines = iter(lambda: file.readline(LONGEST_LINE), b"")
                header = b""
                for header in lines:
                    self._line += 1
                    if header.strip():
                        break
                columns = self._read_header(header) if header.strip() else []
                first = header if self._layout.json else b""
                self._line -= self._layout.json
                while (
                    data := first + file.read(BLOCK_BYTES) + (rest := file.readline(LONGEST_LINE))
                ):
                    first = b""
                    if len(rest) >= LONGEST_LINE:
                        raise self._refused("a line has no end", f"it begins: {rest[:100]!r}")
                    good = self._good_rows(data, columns)
                    self._line += data.count(b"\n")
                    self.rows += len(good)
                    yield good
        except pl.exceptions.PolarsError as error:
            raise self._refused("it cannot be read", str(error)[:500]) from error
        broken = self.left_out[CUT] + self.left_out[UNREAD]
        if broken > self.rows:
            why = f"{broken} of {broken + self.rows} are broken"
            raise self._refused(why, f"for instance {self._example}")
        if not self.rows:
            self.notes.append(f"{self.path.name} is left out: no sample of a running container")

    def _refused(self, why: str, evidence: str, next_step: str = "") -> IntegrityError:
        return unlike(self.path, _ROWS, why, evidence, next_step)

    def _read_header(self, line: bytes) -> list[str]:
        """
        Return the file's columns under our names; `_<position>` is a column to skip.
        """
        text = line.decode("utf-8-sig", "replace")
        layout = layout_of(text)
        if layout is None:
            raise self._refused(
                "its header has no column UPTIME: it mixes commas, semicolons or tabs",
                f"{self.path.name}:{self._line}: {text[:200].strip()}",
            )
        self._layout = layout
        if layout.json:
            return []
        return self._columns(layout.names, text)

    def _columns(self, names: list[str], line: str) -> list[str]:
        found, known = column_places(names), [normal(name) for name in names]
        if PODMANS & set(known):
            raise self._refused(
                "these are podman's, whose CPU % is no current load unless it was streamed",
                f"{self.path.name}:{self._line}: {line[:200].strip()}",
                "record with 10_load_test, or with docker stats",
            )
        ours = {alias for aliases in ALIASES.values() for alias in aliases.split()}
        problems = [
            f"no column {name}"
            for name in IDENTITY
            if IDENTITY[name] not in found and not (name == "CONTAINER ID" and "service" in found)
        ]
        doubled = {
            name.upper()
            for name, n in zip(names, known, strict=True)
            if n in ours and known.count(n) > 1
        }
        problems += [f"{name} twice" for name in sorted(doubled)]
        if problems or not set(found) & set(MEASURES.values()):
            raise self._refused(
                f"its header has {', '.join(problems) or 'no measure'}",
                f"{self.path.name}:{self._line}: {line[:200].strip()}\n"
                "expected a time (UPTIME, TIMESTAMP or TIME), and those of docker stats:  "
                f"{','.join(COLUMNS)}",
                TIMED_JSON if self._layout.json else "",
            )
        self._absent = {name: c for name, c in MEASURES.items() if c not in found}
        ends = {at: column for column, at in found.items()}
        return [ends.get(n, f"_{n}") for n in range(len(names))]

    def _good_rows(self, data: bytes, columns: list[str]) -> pl.DataFrame:
        """
        Drop the bad rows, each counted under the first matching reason.
        """
        layout = self._layout
        cells = self._objects(data) if layout.json else _cells(layout.plain(data), columns)
        if self.dated is None:
            self._date(cells)
        rows = _parsed(cells, layout)
        if self.dated is not None:
            is_dated = pl.col("clock_s") >= DATED_S
            same = pl.when(is_dated == self.dated).then("clock_s")
            rows = rows.with_columns(clock_s=same)
        # the other half of a pair has no header of its own
        self.notes += [
            f"{self.path.name} has no column {name}: not measured there"
            for name, column in self._absent.items()
            if rows[column].null_count() == len(rows)
        ]
        self._absent = {}
        reasons = _reasons()
        if rows.select(pl.any_horizontal(*reasons.values()).any()).item():
            named = (pl.when(left_out).then(pl.lit(why)) for why, left_out in reasons.items())
            reason = rows.select(pl.coalesce(named)).to_series()
            self.left_out.update(reason.drop_nulls().to_list())
            broken = reason.is_in([CUT, UNREAD]).arg_true()
            if len(broken) and not self._example:
                lines = (n for n in enumerate(data.splitlines(), 1) if self._is_row(n[1]))
                number_, line = next(islice(lines, broken[0], None), (0, b""))
                text = line[:200].decode(errors="replace")
                self._example = f"{self.path.name}:{self._line + number_}: {text}"
            rows = rows.filter(reason.is_null())
        names = pl.col("container").cast(self._ids), pl.col("service").cast(pl.Categorical)
        return rows.select("clock_s", *names, *MEASURES.values())

    def _is_row(self, line: bytes) -> bool:
        if self._layout.json:
            return bool(line.strip()) and math.isnan(seconds_of(line.decode(errors="replace")))
        return bool(line.strip(b" ,\r\t"))

    def _date(self, cells: pl.DataFrame) -> None:
        """
        Find out by the first time whether the file has dates.
        """
        words = cells["clock_s"].drop_nulls()
        times = clock_column(words.head(1000).str.strip_chars())
        if (at := times.is_not_null().arg_true()).is_empty():
            return
        self.dated = bool(times[at[0]] >= DATED_S)
        if self.dated and not names_its_zone(words[at[0]]):
            self.notes.append(f"{self.path.name}: its times carry no zone: taken as UTC")

    def _objects(self, data: bytes) -> pl.DataFrame:
        """
        Return the cells of lines of JSON.
        """
        before = self._layout.names
        rows = list(objects(data, self._layout))
        read = [row for row in rows if row]
        if not before and self._layout.names:
            timed = ["TIME"] if self._layout.clock else []
            start = data.lstrip()[:200].decode(errors="replace").splitlines()[0]
            self._line += 1
            self._columns([*self._layout.names, *timed], start)
            self._line -= 1
        columns = [name for name in COLUMNS.values() if any(name in row for row in read)]
        columns = list(dict.fromkeys([*IDENTITY.values(), *columns]))
        table = {name: [(row or {}).get(name) for row in rows] for name in columns}
        return pl.DataFrame(table, dict.fromkeys(columns, pl.String)).with_columns(
            whole=pl.Series([row is not None for row in rows], dtype=pl.Boolean)
        )


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


def _parsed(cells: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    cells = cells.with_columns(pl.col(pl.String).str.strip_chars())
    if layout.separator != "," or layout.quoted:
        cells = cells.with_columns(pl.col(pl.String).str.replace_all(COMMA, ",", literal=True))
    texts = [name for name in PAIRS if name in cells.columns and cells[name].dtype == pl.String]
    cells = cells.with_columns(pl.col(texts).str.replace("N/A", "--"))
    for one in texts:
        if (other := PAIRS[one]) not in cells.columns:
            halves = pl.col(one).str.splitn("/", 2).struct
            second = halves[1].str.strip_chars()
            if one in layout.pairs:  # one number under `NET I/O` may be either
                single = second.is_null() & ~pl.col(one).is_in(NOT_MEASURED)
                second = pl.when(single).then(pl.lit("?")).otherwise(second)
            cells = cells.with_columns(halves[0].str.strip_chars().alias(one), second.alias(other))
    for name, other in (("container", "service"), ("service", "container")):
        if name not in cells.columns:
            cells = cells.with_columns(pl.col(other).alias(name))
    measured = [name for name in MEASURES.values() if name in cells.columns]
    absent = dict.fromkeys(set(MEASURES.values()) - set(measured), pl.lit(None, pl.Float64))
    numbers = [_numbers(cells[name], decimal_comma=layout.decimal_comma) for name in measured]
    limit = pl.col("memory_limit_bytes")
    unlimited = (limit == 0) | limit.is_between(UNLIMITED_BYTES, math.inf)
    return cells.with_columns(clock_column(cells["clock_s"]), *numbers, **absent).with_columns(
        memory_limit_bytes=pl.when(~unlimited).then(limit)
    )


def _numbers(words: pl.Series, *, decimal_comma: bool) -> pl.Series:
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
    known: dict[str, float | None] = {
        text: number(text, decimal_comma=decimal_comma) for text in distinct
    }
    known |= dict.fromkeys(NOT_MEASURED)
    if words.name == "cpu_percent":
        known |= dict.fromkeys(text for text in distinct if text.lower().rstrip("%") in NO_CPU)
    return words.replace_strict(known, default=plain, return_dtype=pl.Float64)


def _reasons() -> dict[str, pl.Expr]:
    container, service = pl.col("container"), pl.col("service")
    alive = pl.col("memory_bytes", "pids")
    possible = pl.col(list(MEASURES.values())).is_between(0, math.inf, closed="left")
    idle = ~pl.any_horizontal(alive > 0, pl.col(COUNTERS) > 0).fill_null(value=False)
    return {
        CUT: ~pl.col("whole") & container.ne_missing("--"),
        HEADER: container.is_in(["CONTAINER ID", "CONTAINER"]) | (service == "NAME"),
        GONE: (container == "--") | service.is_in(["--", "0"]),
        UNREAD: pl.any_horizontal(
            pl.col("clock_s").is_null(), container == "", service == "", ~possible
        ),
        # a running container has a process and memory: a row without them is its end, not a restart
        ZERO: idle & pl.any_horizontal(alive.is_not_null()),
    }
