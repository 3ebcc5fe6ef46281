"""
The variables of a stack file: where their values come from, and substitution as Docker does it.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.core.project import PROJECT
from runbook_lib.notebook.declarations import SECRET_NAME
from runbook_lib.stacks.compose.casts import cast
from runbook_lib.stacks.compose.documents import Keys, refuse_all, shown
from runbook_lib.stacks.compose.scalars import Timestamp

_NAME = r"[_a-zA-Z][_a-zA-Z0-9]*"
_REFERENCE = re.compile(
    rf"\$(?:(?P<escaped>\$)|(?P<plain>{_NAME}(?::?[-?][^}}]*)?)"
    rf"|\{{(?P<braced>{_NAME}(?::?[-?][^}}]*)?)\}}|)"
)
_PARTS = re.compile(rf"({_NAME})(:?)([-?]?)(.*)", re.DOTALL)

NOT_SHOWN = "(not shown)"
SHORT = 4
"""A hidden value shorter than this is only hidden where it stands alone."""


def without_values(text: str, values: Collection[str]) -> str:
    """
    Return a text without values that are not shown, also where they are quoted.
    """
    for value in sorted(values, key=len, reverse=True):
        # a shorter one would blank out half of the words
        forms = [value, repr(value)[1:-1]]
        forms += [json.dumps(value, ensure_ascii=a)[1:-1] for a in (False, True)]
        for form in forms if len(value) >= SHORT else []:
            text = text.replace(form, NOT_SHOWN)
    return text


@dataclass(frozen=True)
class Variable:
    """
    A variable that the files use; `source` is where its value comes from, `where` its first use.
    """

    name: str
    value: str = field(repr=False)
    source: str
    where: str
    shown: bool = True


Given = Mapping[str, tuple[str, str, bool]]
"""Values of variables from outside of the stack file: text, source, and whether it is shown."""


def given(
    variables: Sequence[str],
    env_file: str,
    parameters: Mapping[str, object],
    names: Mapping[str, str],
) -> Given:
    """
    Collect values, the first source that has one wins: `variables` (NAME=value), the file of
    NAME=value lines, and the parameters that `names` gives for variables.

    Raises NotFoundError if there is no such file; ParameterError with all entries that are not
    NAME=value, or that have the name of a secret where the values are recorded.
    """
    problems: list[str] = []
    values: dict[str, tuple[str, str, bool]] = {}
    for name, parameter in names.items():
        if parameter in parameters:
            value = parameters[parameter]
            text = str(value).lower() if isinstance(value, bool) else str(value)
            values[name] = text, f"parameter {parameter}", True
    for where, line in _lines(env_file):
        name, sign, text = line.partition("=")
        if not sign or not re.fullmatch(_NAME, name):
            problems.append(f"{where}: expected NAME=value")
        values[name] = text, where, False
    entries: set[str] = set()
    for number, entry in enumerate(variables, 1):
        name, sign, text = str(entry).partition("=")
        if not sign or not re.fullmatch(_NAME, name):
            problems.append(f"stack_variables: expected NAME=value as entry {number}")
        elif SECRET_NAME.search(name):
            problems.append(
                f"stack_variables: {name} sounds like a secret, and parameters are recorded: give"
                " it in the file that stack_env_file names"
            )
        elif name in entries:
            problems.append(f"stack_variables: {name} is given twice")
        entries.add(name)
        values[name] = text, "stack_variables", True
    refuse_all(problems, "values of variables as NAME=value")
    return values


def _lines(env_file: str) -> list[tuple[str, str]]:
    if not env_file:
        return []
    path: Path = PROJECT / env_file
    if not path.is_file():
        raise NotFoundError(
            f"expected a file of NAME=value lines at {path}; there is none",
            next_step="set stack_env_file to that file, relative to the project",
        )
    try:
        numbered = enumerate(path.read_text("utf-8-sig").splitlines(), 1)
    except (OSError, UnicodeDecodeError) as error:
        # the error of the decoder has the values with it
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ParameterError(
            f"expected a file of NAME=value lines at {path}; {reason}",
            next_step="change its mode, or save it as UTF-8",
        ) from None
    lines = [(f"{shown(path)}:{number}", line.lstrip()) for number, line in numbered]
    return [(where, line) for where, line in lines if line and not line.startswith("#")]


class Substitution:
    """
    Replaces variables in the values of documents; collects variables and problems.
    """

    def __init__(self, its: Given, *, complete: bool) -> None:
        self._given = its
        self._complete = complete
        self._missing: dict[str, str] = {}
        self.variables: dict[str, Variable] = {}
        self.problems: list[str] = []

    def replaced(self, value: Any, where: Callable[[Keys], str], keys: Keys = ()) -> Any:  # noqa: ANN401
        """
        Return a copy of a YAML value with all variables replaced.
        """
        if isinstance(value, dict):
            items = {k: self.replaced(v, where, (*keys, k)) for k, v in value.items()}
            return self._passed_on(items, where, keys)
        if isinstance(value, list):
            listed = [self.replaced(v, where, (*keys, i)) for i, v in enumerate(value)]
            return self._passed_on(listed, where, keys)
        if not isinstance(value, str) or isinstance(value, Timestamp):
            return value
        text = _REFERENCE.sub(lambda match: self._value(match, where(keys)), value)
        return value if text == value else cast(text, keys)

    def _value(self, match: re.Match[str], where: str) -> str:
        if match["escaped"]:
            return "$"
        reference = match["plain"] or match["braced"]
        if not reference:
            self.problems.append(f"{where}: expected a variable after $, as in ${{NAME}}; or $$")
            return ""
        # Docker 28 searches the whole text for the operator: it takes ${X:?a-b} for a default b
        name, colon, sign, rest = _PARTS.fullmatch(reference).groups()  # type: ignore[union-attr]
        value, source, _ = self._given.get(name, (None, "", True))
        if value is None or (colon and not value):
            if sign == "-":
                value, source = rest, f"default, {where}"
            elif sign == "?" or value is None:
                reason = f": {rest}" if rest else ""
                self._missing.setdefault(name, f"{where}: {name} has no value{reason}")
                return ""
        self._used(name, value, source, where)
        return value

    def _used(self, name: str, value: str, source: str, where: str) -> None:
        _, _, is_shown = self._given.get(name, ("", "", True))
        self.variables.setdefault(name, Variable(name, value, source, where, is_shown))

    def _passed_on(self, items: Any, where: Callable[[Keys], str], keys: Keys) -> Any:  # noqa: ANN401
        # Docker fills a variable of a container that has no value from its own environment, and
        # Compose an argument of a build that has none, not even an empty one
        place = keys[2:] if keys[:1] == ("services",) else ()
        if place not in (("environment",), ("build", "args")):
            return items
        empty = (None, "") if place == ("environment",) else (None,)
        if isinstance(items, list):
            return [
                item
                if "" not in empty and "=" in str(item)
                else self._filled(item, where((*keys, i)))
                for i, item in enumerate(items)
            ]
        for key, value in items.items():
            if value in empty and key in self._given:
                items[key] = self._filled(key, where((*keys, key))).partition("=")[2]
        return items

    def _filled(self, item: Any, where: str) -> Any:  # noqa: ANN401
        name, _, value = item.partition("=") if isinstance(item, str) else ("", "", "")
        if value or name not in self._given:
            return item
        value, source, _ = self._given[name]
        self._used(name, value, source, where)
        return f"{name}={value}"

    def finish(self, problems: list[str]) -> tuple[Variable, ...]:
        """
        Return the variables.

        Raises ParameterError with all problems, those found elsewhere too, and all variables that
        have no value.
        """
        step = " - give NAME=value in stack_variables, or in the file of stack_env_file"
        missing = [] if self._complete is False else [p + step for p in self._missing.values()]
        refuse_all([*missing, *self.problems, *problems], "a Compose v3 file, and values for it")
        return tuple(sorted(self.variables.values(), key=lambda v: v.name))
