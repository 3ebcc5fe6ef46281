"""
The values of a run and where each is set: a flat YAML file, and `-p name=value`.

They are checked against the notebooks' declarations before any notebook runs; one error lists
every problem. A value means the same in both places: its declared type decides how it is read. Only
in a file can quotes show that it is a text, and a text that YAML could take for something else
needs them there, because other readers of the file would get that instead.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from runbook_lib.core.errors import ParameterError
from runbook_lib.notebook.declarations import TYPES, Parameter, declarations
from runbook_lib.notebook.problems import Setting, find_problems, refuse
from runbook_lib.notebook.templates import Notebook

NOTEBOOKS = "notebooks"
"""The only key of a file that is not a parameter: the notebooks to run."""


def load(path: Path, problems: list[str] | None = None) -> dict[str, Setting]:
    """
    Read a flat YAML file of `name: value`.

    Raises ParameterError if it is not a flat YAML file, or a value is wrong whatever its type, for
    example a date; such values are appended to `problems` instead, if it is given.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, ValueError, OverflowError, RecursionError, yaml.YAMLError) as error:
        raise ParameterError(
            f"expected a parameter file in YAML at {path}",
            evidence=str(error),
            next_step="name a file in params/, for example params/lab.yml",
        ) from error
    if root is not None and not isinstance(root, yaml.MappingNode):
        raise ParameterError(
            f"expected {path} to hold lines  name: value", next_step="see params/lab.yml"
        )
    settings: dict[str, Setting] = {}
    places: dict[str, str] = {}
    found = []
    for key, node in root.value if root else []:
        where = f"{path}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            found.append(f"{where}: expected a name before the colon")
        elif key.value in places:
            found.append(f"{where}: {key.value} is already set at {places[key.value]}")
        else:
            places[key.value] = where
            try:
                settings[key.value] = _setting(node, where)
            except ValueError as error:
                found.append(f"{where}: {key.value} {error}")
    if problems is None:
        refuse(found)
    else:
        problems += found
    return settings


def _setting(node: yaml.Node, where: str) -> Setting:
    if isinstance(node, yaml.ScalarNode):
        return Setting(_scalar(node), where, "" if node.style else node.value)
    nested = not isinstance(node, yaml.SequenceNode)
    if nested or not all(isinstance(item, yaml.ScalarNode) for item in node.value):
        raise ValueError("is nested; expected a plain value, or a list of them")
    if node.tag != yaml.SafeLoader.DEFAULT_SEQUENCE_TAG:
        raise ValueError(f"has the tag {node.tag}; expected a plain list")
    return Setting([_scalar(item) for item in node.value], where)


def _scalar(node: yaml.ScalarNode) -> Any:  # noqa: ANN401 - a text, a number, a boolean, or None
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind in ("timestamp", "value", "merge"):
        raise ValueError(f"is {node.value}, which YAML takes for a {kind}; a text needs quotes")
    if kind not in ("str", "int", "float", "bool", "null"):
        raise ValueError(f"has the tag {kind}; expected a plain value")
    node.value.encode()  # an escape such as \ud800 is no character: a ValueError too
    try:
        return yaml.SafeLoader("").construct_object(node)
    except (LookupError, ValueError) as error:
        raise ValueError(f"is {node.value}, expected {kind} as its tag says") from error


def take_notebooks(settings: dict[str, Setting]) -> list[str]:
    """
    Take the list of notebooks out of a file's settings; empty if it has none.

    Raises ParameterError if it is not a list of strings: YAML reads an unquoted 00 as a number.
    """
    setting = settings.pop(NOTEBOOKS, Setting([], ""))
    if not isinstance(setting.value, list) or not all(isinstance(v, str) for v in setting.value):
        raise ParameterError(
            f'expected a list of texts such as ["00-07", "30"], saw {setting.value!r}',
            evidence=f"{setting.where}: {NOTEBOOKS}",
            next_step="put each number in quotes",
        )
    return setting.value


def read_arguments(
    arguments: Sequence[str],
    declared: Mapping[str, Parameter],
    problems: list[str] | None = None,
) -> dict[str, Setting]:
    """
    Parse `name=value` from the command line by the declared types; a list is `a,b,c` or `["a"]`.

    A value that does not parse stays a string, which `resolve` then refuses.

    Raises ParameterError for arguments of another form; they are appended to `problems` instead,
    if it is given.
    """
    settings, found = {}, []
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not (equals and name.strip()):
            found.append(f"-p {argument}: expected NAME=VALUE")
            continue
        kind = declared[name.strip()].kind if name.strip() in declared else "str"
        settings[name.strip()] = Setting(_typed(text, kind), f"-p {argument}")
    if problems is None:
        refuse(found)
    else:
        problems += found
    return settings


_INT = r"(0|[1-9]\d*(_\d+)*)"
# no leading zero: 0300 is 192 to some readers of YAML, and 300 to others
_NUMBERS = {"int": rf"[-+]?{_INT}", "float": rf"[-+]?({_INT}(\.\d*)?|\.\d+)(e[-+]?\d+)?"}


def _typed(text: str, kind: str) -> Any:  # noqa: ANN401 - of the declared type
    if kind == "list":
        return _list(text)
    word = text.strip()
    if kind == "bool":
        return yaml.SafeLoader.bool_values.get(word.lower(), text)
    if kind not in _NUMBERS:
        return text
    number = re.fullmatch(_NUMBERS[kind], word, flags=re.ASCII | re.IGNORECASE)
    return TYPES[kind](word) if number and len(word) < 100 else text


def _list(text: str) -> Any:  # noqa: ANN401 - the text itself if it is no list
    if not text.lstrip().startswith("["):
        return [item.strip() for item in text.split(",") if item.strip()]
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return _setting(node, "").value if node else text
    except (ValueError, OverflowError, RecursionError, yaml.YAMLError):
        return text


def declared(notebooks: list[Notebook]) -> dict[str, Parameter]:
    """
    Return the parameters that the notebooks declare.

    Raises ParameterError if two notebooks declare a name differently, or a default breaks its own
    rule.
    """
    known: dict[str, Parameter] = {}
    problems = []
    for notebook in notebooks:
        beside = _of(notebook)
        for name, mine in beside.items():
            first = known.setdefault(name, mine)
            if replace(first, where=mine.where) != mine:
                problems.append(f"{mine.where}: {name} is declared differently in {first.where}")
            elif unknown := [end for end in mine.bounds if end not in beside]:
                problems.append(f"{mine.where}: {name} needs {', '.join(unknown)} beside it")
            elif not mine.required:
                setting = Setting(mine.default, mine.where)
                problems += find_problems(mine, setting, {n: p.default for n, p in beside.items()})
    refuse(problems)
    return known


def own(notebook: Notebook, values: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the values that a notebook declares; papermill would inject the others too.
    """
    return {name: values[name] for name in _of(notebook) if name in values}


def _of(notebook: Notebook) -> dict[str, Parameter]:
    return declarations(notebook.parameters_source, f"{notebook.path}, parameters cell")


def resolve(
    settings: Mapping[str, Setting],
    declared: Mapping[str, Parameter],
    needed: Mapping[str, Parameter],
    problems: Sequence[str] = (),
) -> dict[str, Any]:
    """
    Check every setting against `declared`, and that all parameters in `needed` are set.

    Raises ParameterError with every problem, those found before first: the value, the rule, and
    where it is set.
    """
    found = list(problems)
    settings = {name: _by_type(s, declared.get(name)) for name, s in settings.items()}
    values = {name: p.default for name, p in declared.items()}
    values |= {name: setting.value for name, setting in settings.items()}
    for name, setting in settings.items():
        if name in declared:
            found += find_problems(declared[name], setting, values)
        else:
            close = get_close_matches(name, declared, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            found.append(f"{setting.where}: no notebook declares {name}{hint}")
    for name, parameter in needed.items():
        if name not in settings:
            default = Setting(parameter.default, parameter.where)
            found += find_problems(parameter, default, values)
    refuse(found)
    return {name: setting.value for name, setting in settings.items()}


def _by_type(setting: Setting, parameter: Parameter | None) -> Setting:
    if parameter is None or parameter.kind not in ("int", "float", "bool") or not setting.text:
        return setting
    return replace(setting, value=_typed(setting.text, parameter.kind))
