"""
Commands on a deployed stack: `runbook history`, for which no notebook has to run.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runbook_lib.cloud import aws, roles
from runbook_lib.core.words import printable
from runbook_lib.hosts import clusters
from runbook_lib.notebook.templates import find_notebooks
from runbook_lib.runner.values import declared, load, read_arguments, resolve, take_notebooks
from runbook_lib.stacks.deployment.history import history_table
from runbook_lib.swarm.membership import get_manager


def read_values(
    parameters_file: Path, given: Sequence[str], notebooks: Path, only: Sequence[str] = ()
) -> dict[str, Any]:
    """
    Return every parameter of the notebooks as a run of this file would have it, or only some.

    Raises ParameterError with every wrong parameter.
    """
    known, problems = declared(find_notebooks(notebooks)), list[str]()
    settings = load(parameters_file, problems)
    take_notebooks(settings)
    settings |= read_arguments(given, known, problems)
    if only:  # what the others lack is no problem
        known = {name: known[name] for name in only}
        settings = {name: value for name, value in settings.items() if name in only}
    values = resolve(settings, known, {}, problems)
    return {name: parameter.default for name, parameter in known.items()} | values


def history_text(values: dict[str, Any]) -> str:
    """
    Return the history of the stack that the values name, for a terminal.
    """
    place = aws.Place(values["region"], values["endpoint_url"], values["credentials_file"])
    here = clusters.get_cluster(values["cluster"], values["key_file"], place)
    manager = get_manager(here.without(*roles.LATER).engines)
    table = history_table(manager, values["stack_name"])
    if table.empty:
        return f"{values['stack_name']}: no deployment is kept"
    return str(table.map(lambda cell: printable(str(cell))).to_string(index=False))
