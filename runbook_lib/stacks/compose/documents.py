"""
YAML as Docker's command line reads it, with the line of every value, and written for all versions.

Docker uses go-yaml v3, a port of libyaml with rules of its own for plain scalars: `on`, `yes` and
`23:30` are text, 014 and 0o14 are twelve, 08 is the float 8, and a key occurs once.
"""

import base64
import binascii
import datetime as dt
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.core.project import PROJECT

Keys = tuple[str | int, ...]

_BYTES = 1 << 20
_NODES = 400_000  # go-yaml's limit, too: aliases of aliases grow to any size
_DEPTH = 100
_DIGITS = 1000  # Python refuses to read a number of 4,300
_TAG = "tag:yaml.org,2002:"
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


class _Map(dict[str, Any]):
    """
    A mapping that knows the lines of its keys.
    """

    def __init__(self, items: Mapping[str, Any], lines: Mapping[Any, int]) -> None:
        super().__init__(items)
        self.lines: Mapping[str | int, int] = {**lines}


class _List(list[Any]):
    """
    A list that knows the lines of its items.
    """

    def __init__(self, items: list[tuple[Any, int]]) -> None:
        super().__init__(value for value, _ in items)
        self.lines: Mapping[str | int, int] = {i: line for i, (_, line) in enumerate(items)}


@dataclass(frozen=True)
class Document:
    """
    A file's YAML, as it stands there.
    """

    path: Path
    content: dict[str, Any]

    @property
    def name(self) -> str:
        return shown(self.path)

    def find(self, keys: Keys) -> tuple[int, int]:
        """
        Return how many of the keys the document has, and the line of the last of them.
        """
        value: Any = self.content
        line = 1
        for depth, key in enumerate(keys):
            if key not in getattr(value, "lines", {}):
                return depth, line
            line, value = value.lines[key], value[key]
        return len(keys), line


def shown(path: Path) -> str:
    """
    Return a path relative to the project if it lies there.
    """
    return str(path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path)


def load_document(path: Path) -> Document:
    """
    Read a file's first YAML document, a mapping.

    Raises NotFoundError if there is no such file; ParameterError with all duplicate keys, keys that
    are no text and values that their tag does not fit, or with the first error of syntax.
    """
    if not path.is_file():
        raise NotFoundError(
            f"expected a stack file at {path}; there is none",
            next_step="set stack_file to a Compose v3 file, relative to the project",
        )
    name = shown(path)
    data = path.read_bytes()
    if len(data) > _BYTES:
        raise ParameterError(f"expected {name} to have at most 1 MiB; it has {len(data)} bytes")
    reader = _Reader(name, data)
    try:
        content = reader.document()
    except yaml.reader.ReaderError as error:
        raise ParameterError(
            f"expected UTF-8, or UTF-16 with its mark, in {name}; byte {error.position} is neither",
            evidence=str(error.reason),
            next_step=f"iconv -f latin1 -t utf-8 {name}  if that is its encoding",
        ) from error
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark
        evidence = f"{name}:{mark.line + 1}: {error.problem}"
        raise ParameterError(f"expected YAML in {name}", evidence=evidence) from error
    if not isinstance(content, _Map):
        reader.problems.append(f"{name}:1: expected a mapping, saw {kind(content)}")
    refuse_all(reader.problems, f"YAML that Docker reads in {name}")
    return Document(path, content)


def refuse_all(problems: list[str], what: str) -> None:
    """
    Raise ParameterError with all problems, if there are any.
    """
    if problems:
        count = f"{len(problems)} error{'s' if len(problems) > 1 else ''}"
        listed = "\n".join(dict.fromkeys(problems))
        raise ParameterError(
            f"expected {what}; found {count}",
            evidence=listed,
            next_step="correct these lines, then run this again",
        )


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


class _Reader:
    """
    Values made of libyaml's events; collects problems.
    """

    def __init__(self, name: str, data: bytes) -> None:
        self.problems: list[str] = []
        self._name = name
        self._events: Iterator[Any] = iter(yaml.parse(data, Loader=yaml.CBaseLoader))
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._nodes = 0

    def document(self) -> Any:  # noqa: ANN401 - any YAML value
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                return self._value(next(self._events), 0)
        return None

    def _problem(self, event: Any, text: str) -> None:  # noqa: ANN401
        self.problems.append(f"{self._name}:{event.start_mark.line + 1}: {text}")

    def _value(self, event: Any, depth: int) -> Any:  # noqa: ANN401 - any YAML value
        before = self._nodes
        self._nodes += 1
        self._bound(depth)  # before the levels below: Python has a limit, too
        if isinstance(event, yaml.AliasEvent):
            value, size = self._anchors.get(str(event.anchor), (None, 0))
            if not size:
                self._problem(event, f"expected the anchor &{event.anchor} before *{event.anchor}")
            self._nodes += size
        elif isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._list(depth)
        else:
            value = self._mapping(event, depth)
        self._bound(depth)
        if not isinstance(event, yaml.AliasEvent) and event.anchor:
            self._anchors[event.anchor] = value, self._nodes - before
        return value

    def _bound(self, depth: int) -> None:
        if self._nodes > _NODES or depth > _DEPTH:
            limit = f"{_NODES} values, aliases followed, in {_DEPTH} levels"
            raise ParameterError(f"expected at most {limit}, in {self._name}; there are more")

    def _list(self, depth: int) -> _List:
        items = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append((self._value(event, depth + 1), event.start_mark.line + 1))
        return _List(items)

    def _mapping(self, start: yaml.Event, depth: int) -> _Map:
        values: dict[str, Any] = {}
        lines: dict[str, int] = {}
        merges: list[Any] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            merge = _is_merge(event)
            key = "<<" if merge else self._value(event, depth + 1)
            value = self._value(next(self._events), depth + 1)
            if not isinstance(key, str) or isinstance(key, Timestamp):
                self._problem(event, f"expected a text as key, saw {kind(key)}: quote it")
            elif key in lines:
                self._problem(event, f"{key} is twice here, first in line {lines[key]}")
            elif merge:
                lines[key] = line
                merges = value if isinstance(value, _List) else [value]
            else:
                values[key], lines[key] = value, line
        if "<<" not in values:
            lines.pop("<<", None)
        # what stands in the mapping itself wins, then the earlier of those merged
        merged: dict[str, Any] = {}
        its_lines: dict[Any, int] = {}
        for other in reversed(merges):
            if isinstance(other, _Map):
                merged, its_lines = {**merged, **other}, {**its_lines, **other.lines}
            else:
                self._problem(start, f"expected << to merge mappings, saw {kind(other)}")
        return _Map({**merged, **values}, {**its_lines, **lines})

    def _scalar(self, event: yaml.ScalarEvent) -> str | int | float | bool | None:
        text, tag = event.value, event.tag
        if tag in (None, "!"):
            return text if event.style else resolved(text)
        if tag == f"{_TAG}binary":
            try:
                return base64.b64decode(text, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                self._problem(event, "expected base64 of a text after !!binary")
        wanted: dict[str, Any] = {"bool": bool, "int": int, "float": (int, float)}
        wanted |= {"null": type(None), "timestamp": Timestamp}
        its = tag.removeprefix(_TAG)
        if its not in wanted:
            return str(text)
        value = resolved(text, dates=its == "timestamp")
        if not isinstance(value, wanted[its]) or (its != "bool" and isinstance(value, bool)):
            self._problem(event, f"expected a value of !!{its}, saw {kind(value)}")
        return float(value) if its == "float" and isinstance(value, int) else value


def _is_merge(event: yaml.Event) -> bool:
    if not isinstance(event, yaml.ScalarEvent) or event.value != "<<":
        return False
    return event.tag == f"{_TAG}merge" or (event.tag in (None, "!") and not event.style)


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


def written(value: Any, indent: str = "") -> str:  # noqa: ANN401 - any YAML value
    """
    Write a document so that every version of Docker reads the same.

    Texts are in double quotes: version 20.10 takes a plain `y` for true. Each `$` of a value is
    doubled, for nothing is left to be replaced.
    """
    lines: list[str] = []
    _write(lines, "", indent, value)
    return "\n".join(lines) + "\n"


def _write(lines: list[str], head: str, indent: str, value: Any) -> None:  # noqa: ANN401
    if isinstance(value, Mapping) and value:
        lines += [head] if head else []
        for key, item in value.items():
            _write(lines, f"{indent}{_quoted(key)}:", f"{indent}  ", item)
    elif isinstance(value, list) and value:
        lines += [head] if head else []
        for item in value:
            _write(lines, f"{indent}-", f"{indent}  ", item)
    else:
        lines.append(f"{head} {_scalar_text(value)}" if head else _scalar_text(value))


def _scalar_text(value: object) -> str:
    if isinstance(value, Timestamp):
        return str(value)
    if isinstance(value, str):
        return _quoted(value.replace("$", "$$"))
    if isinstance(value, (Mapping, list)):
        return "{}" if isinstance(value, Mapping) else "[]"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value:+}".replace("+", "").replace("inf", ".inf").replace("nan", ".nan")
    return "null" if value is None else repr(value).lower()


def _quoted(text: str) -> str:
    # YAML reads the escapes of JSON, but for those of two halves of a character
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)
