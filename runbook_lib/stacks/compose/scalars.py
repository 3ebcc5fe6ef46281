"""
Plain scalars, resolved as go-yaml v3 does: rules of its own, neither those of YAML 1.1 nor of 1.2.

`on`, `yes` and `23:30` are text, 014 and 0o14 are twelve, 08 is the float 8.
"""

import datetime as dt
import re
from collections.abc import Mapping

_DIGITS = 1000  # Python refuses to read a number of 4,300
_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys([".nan", ".NaN", ".NAN"], float("nan")),
    **{f"{sign}.{word}": float(f"{sign}inf") for sign in "+-" for word in ("inf", "Inf", "INF")},
    **dict.fromkeys([".inf", ".Inf", ".INF"], float("inf")),
}
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<x>[0-9a-fA-F]+)|0[bB](?P<b>[01]+)|0[oO]?(?P<o>[0-7]+)"
    r"|(?P<d>0|[1-9][0-9]*))"
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_FRACTION = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?")
_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)"
    r"(?:(?:[Tt](?=.*(?:Z|[-+]\d\d:\d\d)$)|[ ](?=[^Z+-]*$))(\d\d?):(\d\d?):(\d\d?)(?:[.,]\d{1,9})?"
    r"(?:Z|[-+]\d\d:\d\d)?)?",
    re.ASCII,
)


class Timestamp(str):
    """
    A date or a time as it was written: Docker turns it into a text of its own.
    """

    __slots__ = ()


def resolved(text: str, *, dates: bool = True) -> str | int | float | bool | None:
    """
    Return the value of a plain scalar as go-yaml v3 does.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] == "." and _FRACTION.fullmatch(text):
        return _finite(text.replace("_", ""), text)
    if text[0] not in "+-0123456789":
        return text
    if dates and _is_timestamp(text):
        return Timestamp(text)
    plain = text.replace("_", "")
    if len(plain) < _DIGITS and (match := _INTEGER.fullmatch(plain)):
        bases = {"x": 16, "b": 2, "o": 8, "d": 10}
        number = next(int(match["sign"] + match[n], bases[n]) for n in bases if match[n])
        if -(1 << 63) <= number < 1 << (63 if match["sign"] else 64):
            return number
    return _finite(plain, text) if _FLOAT.fullmatch(plain) else text


def _finite(plain: str, text: str = "") -> float | str:
    number = float(plain)
    return text or plain if number in (float("inf"), float("-inf")) else number


def _is_timestamp(text: str) -> bool:
    match = _TIMESTAMP.fullmatch(text)
    if not match:
        return False
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
    try:
        # the year 0 is a leap year like 400
        dt.datetime(year or 400, month, day, hour, minute, second, tzinfo=dt.UTC)
    except ValueError:
        return False
    return True


def kind(value: object) -> str:
    """
    Name the kind of a value; the value itself may be secret.
    """
    if value is None:
        return "nothing"
    kinds: list[tuple[type, str]] = [
        (Timestamp, "a date (quote it to make it a text)"),
        (str, "a text"),
        (bool, "true or false"),
        (int, "an integer"),
        (float, "a number"),
        (Mapping, "a mapping"),
    ]
    return next((name for its, name in kinds if isinstance(value, its)), "a list")
