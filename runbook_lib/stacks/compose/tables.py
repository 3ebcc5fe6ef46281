"""
What a stack file declares, as tables; without the values that are not shown.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from runbook_lib.stacks.compose.stack_file import StackFile, image_name
from runbook_lib.stacks.compose.variables import NOT_SHOWN


def declared_services(stack: StackFile) -> pd.DataFrame:
    """
    Return one row per service of the file; columns: service, image, built, replicas, placement.
    """
    rows = []
    for name, spec in stack.services.items():
        deploy = spec.get("deploy", {})
        built = "here" if spec.get("build") else "pulled"
        placement = ", ".join((deploy.get("placement") or {}).get("constraints", []))
        texts = (image_name(name, spec), built, _replicas(deploy), placement)
        rows.append((name, *map(stack.hide, texts)))
    return pd.DataFrame(rows, columns=["service", "image", "built", "replicas", "placement"])


def _replicas(deploy: Mapping[str, Any]) -> str:
    mode, replicas = deploy.get("mode") or "replicated", deploy.get("replicas", 1)
    if mode == "replicated-job":
        return f"one run on {replicas}"
    return {"replicated": str(replicas), "global-job": "one run on every node"}.get(mode, mode)


def declared_variables(stack: StackFile) -> pd.DataFrame:
    """
    Return one row per variable of the files; columns: variable, value, source, where.

    Values from the file of `env_file` are not shown.
    """
    rows = [(v.name, v.value if v.shown else NOT_SHOWN, v.source, v.where) for v in stack.variables]
    return pd.DataFrame(rows, columns=["variable", "value", "source", "where"])
