"""
The values in a notebook, checked against its parameters cell.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbook_lib.core import tables
from runbook_lib.core.errors import ParameterError
from runbook_lib.notebook.declarations import (
    Parameter,
    Setting,
    declarations,
    find_problems,
    refuse,
)


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
    Check the values in a notebook: `parameters.check("05_swarm", globals())`.

    An edited cell, or papermill without the runner, raises the same error as the runner. From
    then on the kernel shows each DataFrame as every notebook does.

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
        problems += find_problems(parameter, Setting(value, where))
    refuse(problems)
    return InEffect(
        tuple((n, str(namespace.get(n, p.default)), p.help) for n, p in declared.items())
    )


def _last_declared(notebook: str, history: Sequence[str]) -> dict[str, Parameter]:
    """
    The declarations of the last run: IPython keeps the source of every cell, edited or not.
    """
    for source in reversed(history):
        if re.match(r"(#.*\n|\s)*\w+: \w+ = ", source):
            return declarations(source, f"{notebook}, parameters cell")
    raise ParameterError(
        f"the parameters cell of {notebook} has not run in this kernel",
        next_step="run the cell at the top, then this one",
    )
