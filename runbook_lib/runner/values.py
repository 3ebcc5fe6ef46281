"""
The values of a run and where each is set: a flat YAML file, and `-p name=value`.

They are checked against the notebooks' declarations before any notebook runs; one error lists
every problem.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from runbook_lib.core.errors import ParameterError
from runbook_lib.notebook.declarations import (
    TYPES,
    Parameter,
    Setting,
    declarations,
    find_problems,
    refuse,
)
from runbook_lib.notebook.templates import Notebook

NOTEBOOKS = "notebooks"
"""The only key of a file that is not a parameter: the notebooks to run."""


def load(path: Path) -> dict[str, Setting]:
    """
    Read a flat YAML file of `name: value`.

    Raises ParameterError if it does not exist, is not flat, or sets a name twice.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
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
    problems = []
    for key, node in root.value if root else []:
        where = f"{path}:{key.start_mark.line + 1}"
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if key.value in settings:
            problems.append(f"{where}: {key.value} is already set at {settings[key.value].where}")
        elif not all(isinstance(item, yaml.ScalarNode) for item in items):
            wanted = "expected a plain value, or a list of them"
            problems.append(f"{where}: {key.value} is nested; {wanted}")
        else:
            value = yaml.SafeLoader("").construct_object(node, deep=True)
            settings[str(key.value)] = Setting(value, where)
    refuse(problems)
    return settings


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
    arguments: Sequence[str], declared: Mapping[str, Parameter]
) -> dict[str, Setting]:
    """
    Parse `name=value` from the command line by the declared types; a list is `a,b,c`.

    A value that does not parse stays a string, which `resolve` then refuses.
    """
    settings = {}
    for argument in arguments:
        name, _, text = argument.partition("=")
        kind = declared[name].kind if name in declared else "str"
        settings[name.strip()] = Setting(_typed(text, kind), f"-p {argument}")
    return settings


def _typed(text: str, kind: str) -> Any:  # noqa: ANN401 - of the declared type
    if kind == "list":
        return [item.strip() for item in text.split(",") if item.strip()]
    if kind == "bool":
        return {"true": True, "false": False}.get(text.lower(), text)
    try:
        return TYPES[kind](text)
    except ValueError:
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
        for name, mine in _of(notebook).items():
            first = known.setdefault(name, mine)
            if replace(first, where=mine.where) != mine:
                problems.append(f"{mine.where}: {name} is declared differently in {first.where}")
            elif not mine.required:
                problems += find_problems(mine, Setting(mine.default, mine.where))
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
) -> dict[str, Any]:
    """
    Check every setting against `declared`, and that all parameters in `needed` are set.

    Raises ParameterError with every problem: the value, the rule, and where it is set.
    """
    problems = []
    for name, setting in settings.items():
        if name in declared:
            problems += find_problems(declared[name], setting)
        else:
            close = get_close_matches(name, declared, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            problems.append(f"{setting.where}: no notebook declares {name}{hint}")
    for name in needed.keys() - settings.keys():
        problems += find_problems(needed[name], Setting(needed[name].default, needed[name].where))
    refuse(problems)
    return {name: setting.value for name, setting in settings.items()}
