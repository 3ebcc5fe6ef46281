"""
The values of a run, or of a person's notebook, held against what the notebooks declare.

Every problem is collected before one error is raised; nothing has run by then.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from runbook_lib.core import tables
from runbook_lib.core.errors import ParameterError
from runbook_lib.notebook.declarations import TYPES, Parameter, declarations
from runbook_lib.notebook.templates import Notebook
from runbook_lib.notebook.values import Setting, refuse


@dataclass(frozen=True)
class InEffect:
    """
    The checked parameters of a notebook, shown as a table.
    """

    rows: tuple[tuple[str, str, str], ...]

    def __repr__(self) -> str:
        return "\n".join(f"{name} = {value}  # {text}" for name, value, text in self.rows)

    def _repr_html_(self) -> str:
        return tables.html_table(["parameter", "value", "meaning"], self.rows)


def check(notebook: str, namespace: Mapping[str, Any]) -> InEffect:
    """
    Hold the values in a notebook against its cell: `parameters.check("05_swarm", globals())`.

    A person who edits the cell, and a plain papermill run, get the error that the runner gives.

    Raises
    ------
    ParameterError
        Naming every value that breaks its rule.
    """
    tables.register()
    declared = _last_declared(notebook, namespace.get("In", []))
    problems = []
    for name, parameter in declared.items():
        value = namespace.get(name, parameter.default)
        where = (
            parameter.where if value == parameter.default else f"{notebook}, injected parameters"
        )
        problems += _problems(parameter, Setting(value, where))
    refuse(problems)
    return InEffect(
        tuple((n, str(namespace.get(n, p.default)), p.help) for n, p in declared.items())
    )


def _last_declared(notebook: str, history: Sequence[str]) -> dict[str, Parameter]:
    """
    As it was run last: IPython keeps the source of every cell, edited or not.
    """
    for source in reversed(history):
        if re.match(r"(#.*\n|\s)*\w+: \w+ = ", source):
            return declarations(source, f"{notebook}, parameters cell")
    raise ParameterError(
        f"expected the parameters cell of {notebook} to have run in this kernel; it has not",
        next_step="run the cell at the top, then this one",
    )


def declared(notebooks: list[Notebook]) -> dict[str, Parameter]:
    """
    Every parameter that any of the notebooks declares.

    Raises
    ------
    ParameterError
        Where two declare one name differently, or a default breaks its own rule.
    """
    found: dict[str, Parameter] = {}
    problems = []
    for notebook in notebooks:
        for name, mine in _of(notebook).items():
            first = found.setdefault(name, mine)
            if _contract(first) != _contract(mine):
                problems.append(f"{mine.where}: {name} is declared otherwise in {first.where}")
            elif not mine.required:
                problems += _problems(mine, Setting(mine.default, mine.where))
    refuse(problems)
    return found


def own(notebook: Notebook, values: Mapping[str, Any]) -> dict[str, Any]:
    """
    The values that a notebook declares; papermill would inject the others too.
    """
    return {name: values[name] for name in _of(notebook) if name in values}


def _of(notebook: Notebook) -> dict[str, Parameter]:
    return declarations(notebook.parameters_source, f"{notebook.path}, parameters cell")


def _contract(parameter: Parameter) -> tuple[str, Any, str, str]:
    return parameter.kind, parameter.default, parameter.help, parameter.rule


def resolve(
    settings: Mapping[str, Setting],
    declared: Mapping[str, Parameter],
    needed: Mapping[str, Parameter],
) -> dict[str, Any]:
    """
    Check every setting, and that what the chosen notebooks require is there.

    Parameters
    ----------
    declared
        By all notebooks: a name outside is a mistake.
    needed
        By the notebooks that will run.

    Raises
    ------
    ParameterError
        Naming every problem: the value, the rule, and where it is set.
    """
    problems = []
    for name, setting in settings.items():
        if name in declared:
            problems += _problems(declared[name], setting)
        else:
            close = get_close_matches(name, declared, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            problems.append(f"{setting.where}: no notebook declares {name}{hint}")
    for name in needed.keys() - settings.keys():
        problems += _problems(needed[name], Setting(needed[name].default, needed[name].where))
    refuse(problems)
    return {name: setting.value for name, setting in settings.items()}


def _problems(parameter: Parameter, setting: Setting) -> list[str]:
    if parameter.required and setting.value == "":
        return [f"{setting.where}: {parameter.name} is missing ({parameter.help})"]
    if parameter.allows(setting.value):
        return []
    quote = isinstance(setting.value, TYPES[parameter.kind]) or parameter.kind != "str"
    hint = "" if quote else "; a text needs quotes"
    return [
        f"{setting.where}: {parameter.name} is {setting.value!r}, expected {parameter.expected}"
        f" ({parameter.help}){hint}"
    ]
