"""
The values in a notebook, checked against its parameters cell.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from runbook_lib.core import tables
from runbook_lib.core.errors import ParameterError
from runbook_lib.notebook.declarations import declarations
from runbook_lib.notebook.problems import Setting, find_problems, refuse


@dataclass(frozen=True)
class InEffect:
    """
    The checked parameters of a notebook, shown as a table.
    """

    rows: tuple[tuple[str, str, str], ...]

    def __repr__(self) -> str:
        return "\n".join(f"{name} = {value}  # {text}" for name, value, text in self.rows)

    def _repr_html_(self) -> Markup:
        return tables.html_table(["parameter", "value", "meaning"], self.rows)


def check(notebook: str, namespace: Mapping[str, Any]) -> InEffect:
    """
    Check the values in a notebook: `parameters.check("05_swarm", globals())`.

    An edited cell, or papermill without the runner, raises the same error as the runner. The
    kernel then shows DataFrames as tables in the project's format.

    Raises ParameterError with every value that breaks its rule.
    """
    tables.register()
    # IPython keeps the source of every cell, edited or not: the last run of the parameters cell
    history = reversed(namespace.get("In", []))
    source = next((s for s in history if re.match(r"(#.*\n|\s)*\w+: \w+ = ", s)), None)
    if source is None:
        raise ParameterError(
            f"the parameters cell of {notebook} has not run in this kernel",
            next_step="run the cell at the top, then this one",
        )
    declared = declarations(source, f"{notebook}, parameters cell")
    values = {name: namespace.get(name, p.default) for name, p in declared.items()}
    problems = []
    for name, value in values.items():
        p = declared[name]
        where = p.where if value == p.default else f"{notebook}, injected parameters"
        problems += find_problems(p, Setting(value, where), values)
    refuse(problems)
    return InEffect(tuple((n, _text(value), declared[n].help) for n, value in values.items()))


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
