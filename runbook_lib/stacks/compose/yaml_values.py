"""
Values made of the events of libyaml's parser, which go-yaml is a port of, with the line of each.

A key occurs once, and `<<` merges. All that is wrong is collected, but for errors of syntax.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from runbook_lib.core.errors import ParameterError
from runbook_lib.stacks.compose.scalars import Timestamp, kind, resolved

_NODES = 400_000  # go-yaml's limit, too: aliases of aliases grow to any size
_DEPTH = 100
_TAG = "tag:yaml.org,2002:"


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


class Reader:
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
