"""
The fields of a specification that change, as text that shows no secret.
"""

import json
import re
from collections.abc import Collection

from runbook_lib.core.words import printable
from runbook_lib.notebook.declarations import SECRET_NAME
from runbook_lib.stacks.compose.variables import NOT_SHOWN, SHORT
from runbook_lib.stacks.deployment.plan import Field
from runbook_lib.stacks.deployment.spec_fields import Tree, differences

_LONGEST = 1000
_ENV = "TaskTemplate.ContainerSpec.Env."
_IMAGE = "TaskTemplate.ContainerSpec.Image"
PLANNED = "planned-"
"""How the recorder's ids begin."""


def changed_fields(
    old: Tree, new: Tree, hidden: Collection[str], *, skip_replicas: bool = False
) -> tuple[Field, ...]:
    """
    Return the fields that differ, as a plan shows them; `hidden` are values that are not shown.
    """
    fields = []
    for path, *values in differences(old, new):
        if skip_replicas and path.startswith("Mode.Replicated"):
            continue
        if str(values[1]).startswith(PLANNED):  # the id of a new secret or config, after its name
            continue
        before, after = (_text(value) for value in values)
        if path == _IMAGE and before.split("@")[0] != after.split("@")[0]:
            # the digest is shown only if nothing else changed
            before, after = before.split("@")[0], after.split("@")[0]
        name = path.removeprefix(_ENV) if path.startswith(_ENV) else ""
        # a variable that goes may hold an earlier value of the file
        secret = SECRET_NAME.search(name) or (name and hidden and not after)
        if secret or any(_holds(value, hidden) for value in values):
            before, after = (NOT_SHOWN if value is not None else "" for value in values)
        fields.append(Field(printable(path), *map(_short, (before, after))))
    return tuple(fields)


def _holds(shown: object, hidden: Collection[str]) -> bool:
    if isinstance(shown, list):
        # Docker splits a command that is a text at its spaces, and takes the quotes away
        parts = [p for value in hidden for p in re.split(r"[\s\"'\\]+", value) if len(p) >= SHORT]
        return any(_holds(item, {*hidden, *parts}) for item in shown)
    if isinstance(shown, dict):
        return any(_holds(item, hidden) for pair in shown.items() for item in pair)
    text = _text(shown)
    return any(
        value and (text == value or (len(value) >= SHORT and value in text)) for value in hidden
    )


def _short(text: str) -> str:
    return printable(text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …")


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
