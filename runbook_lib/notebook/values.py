"""
Values and where each is set: lines of a flat YAML file, and `-p name=value`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from runbook_lib.core.errors import ParameterError
from runbook_lib.notebook.declarations import TYPES, Parameter

NOTEBOOKS = "notebooks"
"""What a file may say beside the parameters: the notebooks that a run of it takes."""


@dataclass(frozen=True)
class Setting:
    """
    A value, and where it is set: `params/lab.yml:12`, or `-p batch=300`.
    """

    value: Any
    where: str


def load(path: Path) -> dict[str, Setting]:
    """
    Read a flat YAML file of `name: value`.

    Raises
    ------
    ParameterError
        Where it is not there, is not flat, or sets a name twice.
    """
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ParameterError(
            f"expected a parameter file in YAML at {path}",
            evidence=str(error),
            next_step="name one of params/, such as params/lab.yml",
        ) from error
    if root is not None and not isinstance(root, yaml.MappingNode):
        raise ParameterError(
            f"expected {path} to hold lines  name: value", next_step="see params/lab.yml"
        )
    settings: dict[str, Setting] = {}
    problems = []
    for key, node in root.value if root else []:
        where = f"{path}:{key.start_mark.line + 1}"
        if key.value in settings:
            problems.append(f"{where}: {key.value} is set before, at {settings[key.value].where}")
        elif not _is_flat(node):
            problems.append(f"{where}: {key.value} is nested; values are plain, or a list of such")
        else:
            value = yaml.SafeLoader("").construct_object(node, deep=True)
            settings[str(key.value)] = Setting(value, where)
    refuse(problems)
    return settings


def take_notebooks(settings: dict[str, Setting]) -> list[str]:
    """
    Take the list of notebooks out of a file's settings; empty where it has none.

    Raises
    ------
    ParameterError
        Where it is not a list of texts: without quotes, YAML reads 00 as a number.
    """
    setting = settings.pop(NOTEBOOKS, Setting([], ""))
    if not isinstance(setting.value, list) or not all(isinstance(v, str) for v in setting.value):
        raise ParameterError(
            f'expected a list of texts such as ["00-07", "30"], saw {setting.value!r}',
            evidence=f"{setting.where}: {NOTEBOOKS}",
            next_step="put each number in quotes",
        )
    return setting.value


def _is_flat(node: yaml.Node) -> bool:
    if isinstance(node, yaml.SequenceNode):
        return all(isinstance(item, yaml.ScalarNode) for item in node.value)
    return isinstance(node, yaml.ScalarNode)


def read_arguments(
    arguments: Sequence[str], declared: Mapping[str, Parameter]
) -> dict[str, Setting]:
    """
    Read `name=value` of the command line by the declared types; a list is `a,b,c`.

    A text that is not of its type stays a text, which `resolve` then refuses.
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


def refuse(problems: Sequence[str]) -> None:
    """
    Raise one error for all problems; nothing where there is none.
    """
    if problems:
        count = f"{len(problems)} parameter" + ("s are" if len(problems) > 1 else " is")
        raise ParameterError(
            f"expected parameters as the notebooks declare them; {count} not",
            evidence="\n".join(problems),
            next_step="correct each where it is set; nothing was run",
        )
