"""
Layouts of logged docker stats: names of columns, separators, quotes, sizes, as tools write them.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from runbook_lib.load.recordings.clocks import seconds_of

ALIASES = {
    "clock_s": "TIMESTAMP DATETIME TIME TS EPOCH CLOCK UPTIME",
    "container": "CONTAINERID ID CONTAINER",
    "service": "NAME NAMES CONTAINERNAME",
    "cpu_percent": "CPU% %CPU CPUPERC CPUPERCENT CPUPERCENTAGE",
    "memory_bytes": "MEMUSAGE MEMUSED MEMORYUSAGE MEMUSAGELIMIT PRIVWORKINGSET",
    "memory_limit_bytes": "MEMLIMIT MEMORYLIMIT",
    "net_in_bytes": "NETI NETIN NETINPUT NETIO",
    "net_out_bytes": "NETO NETOUT NETOUTPUT",
    "block_in_bytes": "BLOCKI BLOCKIN BLOCKINPUT BLOCKIO BLKIO",
    "block_out_bytes": "BLOCKO BLOCKOUT BLOCKOUTPUT",
    "pids": "PIDS",
}
"""Columns by their names without spaces and signs, in order of preference."""
PAIRS = {
    "memory_bytes": "memory_limit_bytes",
    "net_in_bytes": "net_out_bytes",
    "block_in_bytes": "block_out_bytes",
}
"""Columns that may hold both values: `1kB / 2kB`."""
BOTH = {"NETIO", "BLOCKIO", "BLKIO", "MEMUSAGELIMIT"}
"""The names of such columns; MEM USAGE holds both in JSON, and one in the authors' files."""
PODMANS = {"AVGCPU%", "AVGCPU", "CPUTIME"}
COLOURS = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
COMMA = "\x1a"
"""Stands for a comma within a cell."""
_QUOTED = re.compile(rb'(?<![^,;\t\n])"([^"\n]*)"(?=[,;\t\r\n]|$)')
_GROUPS = re.compile(r"(?<=\d)[\s'\u2019](?=\d{3}(?!\d))")
_NUMBER = re.compile(r"(?P<number>\d+(?:\.\d*)?(?:[eE]\+?\d+)?)\s?(?P<unit>[A-Za-z%]*)")
UNITS = {
    **{"": 1.0, "%": 1.0, "B": 1.0},
    **{f"{letter}B": 1000.0**power for power, letter in enumerate("KMGTPE", 1)},
    **{f"{letter}IB": 1024.0**power for power, letter in enumerate("KMGTPE", 1)},
}
"""Docker's units, case-insensitive: kB is 1000 bytes, KiB 1024; a plain number is bytes."""


def normal(name: str) -> str:
    """
    Return a column's name without spaces and signs: NETIO for `NET I/O`, `net_io` and `NetIO`.
    """
    return re.sub(r"[^A-Z0-9%]", "", name.upper())


def column_places(names: list[str]) -> dict[str, int]:
    """
    Return the positions of our columns among a file's names.
    """
    places = {name: n for n, name in reversed(list(enumerate(map(normal, names))))}
    found = {
        column: places[known[0]]
        for column, aliases in ALIASES.items()
        if (known := [name for name in aliases.split() if name in places])
    }
    if "service" not in found and "CONTAINER" in places:  # docker's {{.Container}} is either
        found["service"] = places["CONTAINER"]
        found.pop("container", None)
    return found


@dataclass
class Layout:
    """
    How the rows of one file are written, by its header.
    """

    separator: str = ","
    json: bool = False
    clock: str = ""
    """The last line of JSON's file that was a time; it is that of the objects after it."""
    names: list[str] = field(default_factory=list)
    quoted: bool = False

    @property
    def decimal_comma(self) -> bool:
        return self.separator in ";\t"

    @property
    def pairs(self) -> set[str]:
        places = column_places(self.names)
        return {name for name, at in places.items() if normal(self.names[at]) in BOTH}

    def plain(self, data: bytes) -> bytes:
        """
        Return a block as plain CSV: no colours, no quotes, and `COMMA` for commas in cells.
        """
        if b"\x1b" in data:
            data = COLOURS.sub(b"", data)
        separator, inner = self.separator.encode(), COMMA.encode()
        if b'"' in data:
            self.quoted = True
            # a row may begin with a quote that never ends: only whole cells are unquoted
            data = _QUOTED.sub(lambda cell: cell[1].replace(separator, inner), data)
        if separator == b",":
            return data
        data = data.replace(b",", inner)
        return (
            re.sub(rb"[ ]{2,}", b",", data) if separator == b"  " else data.replace(separator, b",")
        )


def layout_of(header: str) -> Layout | None:
    """
    Return the layout that a first line shows; None if it mixes separators.
    """
    text = COLOURS.sub(b"", header.encode()).decode().strip("\r\n")
    if text.lstrip().startswith("{") or not math.isnan(seconds_of(text)):
        return Layout(json=True)
    kinds = [sign for sign in ",;\t" if sign in text]
    if len(kinds) > 1:
        return None
    separator = kinds[0] if kinds else "  "
    cells = re.split(r" {2,}", text.strip()) if separator == "  " else text.split(separator)
    names = [cell.strip().strip('"').strip() for cell in cells]
    if column_places(names):  # `--format "table $(date +%s),{{.Name}}"` prints the time among them
        names = [name if math.isnan(seconds_of(name)) else "TIME" for name in names]
    return Layout(separator, names=names)


def objects(data: bytes, layout: Layout) -> Iterator[dict[str, str] | None]:
    """
    Yield the objects of lines of JSON under our columns' names; None for a line that is none.
    """
    for line in COLOURS.sub(b"", data).decode(errors="replace").splitlines():
        if not line.strip():
            continue
        if not line.lstrip().startswith("{") and not math.isnan(seconds_of(line)):
            layout.clock = line
            continue
        try:
            read = json.loads(line)
        except (ValueError, RecursionError):
            yield None
            continue
        if not isinstance(read, dict):
            yield None
            continue
        names = list(read)
        layout.names = layout.names or names
        row = {column: _text(read[names[at]]) for column, at in column_places(names).items()}
        yield {"clock_s": layout.clock, **row}


def _text(value: object) -> str:
    return "" if value is None else str(value).replace(COMMA, "")


def number(text: str, *, decimal_comma: bool = False) -> float:
    """
    Return a size or share in bytes or per cent; NaN if it is none, or can mean two numbers.
    """
    text = _GROUPS.sub("", text.strip())
    if "," in text:
        if "." in text or text.count(",") > 1:
            point = "," if text.rfind(",") > text.rfind(".") and text.count(",") == 1 else "."
            text = text.replace("," if point == "." else ".", "").replace(point, ".")
        elif not decimal_comma and re.search(r",\d{3}(?!\d)", text):
            return math.nan  # 1,250: of an English thousand, or of a German 1.25
        else:
            text = text.replace(",", ".")
    elif text.count(".") > 1:
        text = text.replace(".", "")
    match = _NUMBER.fullmatch(text)
    factor = UNITS.get(match["unit"].upper()) if match else None
    return float(match["number"]) * factor if match and factor else math.nan
