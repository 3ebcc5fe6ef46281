"""
Times as people log them: of a day, or with a date (ISO, epoch, `date`), with a zone or without.
"""

import math
import re
from datetime import UTC, datetime, timedelta

import polars as pl

from runbook_lib.load.recordings.wall_clock import DATED_S, DAY_S

LONGEST = 64
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_ZONE = r"(?: ?(?P<zone>Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)(?: [A-Z]{3,5})?)?"
_CLOCK = (
    r"(?P<hour>\d{1,2}):(?P<minute>[0-5]\d):(?P<second>[0-5]\d)(?:[.,](?P<part>\d{1,9}))?"
    r" ?(?P<half>[AaPp]\.?[Mm]\.?)?"
)
_NAMED = r"(?:[A-Z][a-z]{2},? )?"
_MONTH = rf"(?P<name>{'|'.join(_MONTHS)})"
_FORMS = [
    re.compile(form)
    for form in (
        rf"{_CLOCK}{_ZONE}",
        rf"(?P<year>\d{{4}})([-/])(?P<month>\d\d)\2(?P<day>\d\d)[T ]{_CLOCK}{_ZONE}",
        rf"(?P<day>\d\d)\.(?P<month>\d\d)\.(?P<year>\d{{4}}),? {_CLOCK}{_ZONE}",
        rf"{_NAMED}{_MONTH} +(?P<day>\d{{1,2}}) {_CLOCK}{_ZONE} (?P<year>\d{{4}})",
        rf"{_NAMED}(?P<day>\d{{1,2}}) {_MONTH} (?P<year>\d{{4}}),? {_CLOCK}{_ZONE}",
    )
]
_EPOCH = re.compile(r"(?P<whole>[1-9]\d{9})(?:(?P<part>\d{3}|\d{6}|\d{9})|\.(?P<fraction>\d+))?")


def seconds_of(text: str) -> float:
    """
    Return epoch seconds of a time with a date, else seconds of the day; NaN if it is no time.

    A zone's offset is taken off; without one the time is UTC. Named zones other than UTC, and dates
    such as 05/03/2024, mean different times in different places: they are not guessed.
    """
    text = text.strip()[:LONGEST]
    if match := _EPOCH.fullmatch(text):
        return float(f"{match['whole']}.{match['part'] or match['fraction'] or 0}")
    match = next((m for form in _FORMS if (m := form.fullmatch(text))), None)
    if not match:
        return math.nan
    hour = _hour(int(match["hour"]), (match["half"] or "")[:1].lower())
    if not 0 <= hour < 24:
        return math.nan
    clock_s = (
        hour * 3600 + int(match["minute"]) * 60 + float(f"{match['second']}.{match['part'] or 0}")
    )
    clock_s -= _offset_s(match["zone"] or "Z")
    parts = match.groupdict()
    if not parts.get("year"):
        return clock_s % DAY_S
    month = parts.get("month") or _MONTHS.index(parts["name"]) + 1
    try:
        day = datetime(int(parts["year"]), int(month), int(parts["day"]), tzinfo=UTC)
        return float(when) if (when := day.timestamp() + clock_s) >= DATED_S else math.nan
    except ValueError:
        return math.nan


def names_its_zone(text: str) -> bool:
    """
    Check whether a time with a date can mean only one moment.
    """
    text = text.strip()[:LONGEST]
    zones = (m["zone"] for form in _FORMS if (m := form.fullmatch(text)))
    return bool(_EPOCH.fullmatch(text)) or any(zones)


def clock_column(words: pl.Series) -> pl.Series:
    """
    Return a column of times as `seconds_of` reads them, null where a string is no time.
    """
    plain = words.str.to_time("%H:%M:%S", strict=False).cast(pl.Int64) / 1e9
    others = words.filter(plain.is_null()).unique().drop_nulls()
    if others.is_empty():
        return plain
    known = {text: seconds_of(text) for text in others}
    return words.replace_strict(known, default=plain, return_dtype=pl.Float64).fill_nan(None)


def _hour(hour: int, half: str) -> int:
    if not half:
        return hour
    return hour % 12 + 12 * (half == "p") if 1 <= hour <= 12 else -1


def _offset_s(zone: str) -> float:
    if zone[0] not in "+-":
        return 0.0
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    offset = timedelta(hours=hours, minutes=minutes).total_seconds()
    return -offset if zone[0] == "-" else offset
