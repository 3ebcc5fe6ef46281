"""
What is wrong with the value of a parameter, in words: the value, where it is set, and the rule.

Neither a secret nor a long text is shown.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbook_lib.core.errors import ParameterError
from runbook_lib.core.secret_shapes import without_secrets
from runbook_lib.notebook import rules
from runbook_lib.notebook.declarations import SECRET_NAME, Parameter

_LOOKED_AT = 20_000  # characters of a value; a longer one is refused anyway


@dataclass(frozen=True)
class Setting:
    """
    A value and its source: `params/lab.yml:12`, or `-p batch=300`.

    `text` is how a value without quotes is written; its declared type decides what it means.
    """

    value: Any
    where: str
    text: str = ""


def find_problems(
    parameter: Parameter, setting: Setting, others: Mapping[str, Any] | None = None
) -> list[str]:
    """
    Find the problems of a value, in words; empty if it follows its rule.
    """
    name, value = parameter.name, setting.value
    if value == "" and parameter.needed(others or {}):
        return [f"{setting.where}: {name} is missing ({parameter.help})"]
    if secret := _secret(parameter, value):
        # neither the value nor the argument that holds it is shown
        return [f"{setting.where.partition('=')[0]}: {name} {secret}"]
    if excess := rules.excess(value):
        return [f"{_cut(setting.where)}: {name} {excess} ({parameter.help})"]
    if parameter.allows(value, others):
        return []
    if parameter.kind == "list" and isinstance(value, list):
        wrong = parameter.wrong_items(value)
        others_than_texts = [v for v in wrong if type(v) is not str]
        wanted = "texts" if others_than_texts else f"each item to follow {parameter.rule}"
        seen = ", ".join(map(repr, others_than_texts or wrong))
        return [
            f"{_cut(setting.where)}: {name}: expected {wanted}, saw {_cut(seen)} ({parameter.help})"
        ]
    hint = ""
    if parameter.kind == "str" and not isinstance(value, str):
        hint = "; a text needs quotes"
    elif parameter.kind in ("int", "float") and re.match(r"[-+]?0\d", setting.text or str(value)):
        hint = "; without the leading zero, which some readers take for octal"
    named = [n for n in rules.find_names(parameter.rule) if n in (others or {})]
    ends = [f", {n} is {others[n]}" for n in named] if others else []
    is_text = isinstance(value, str) and parameter.kind == "str"
    seen = setting.text if setting.text and not is_text else repr(value)
    return [
        f"{_cut(setting.where)}: {name} is {_cut(seen)}, expected {parameter.expected}"
        f" ({parameter.help}{''.join(ends)}){hint}"
    ]


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}... ({len(text)} characters)"


def _secret(parameter: Parameter, value: Any) -> str:  # noqa: ANN401 - as above
    items = value if isinstance(value, list) else []
    pairs = (item.partition("=") for item in items if isinstance(item, str))
    named = [name.strip() for name, equals, _ in pairs if equals and SECRET_NAME.search(name)]
    if parameter.kind == "list" and named:
        return (
            f"sets {', '.join(named)}, and a parameter is written into the run; put secrets into a"
            " file and name it in stack_env_file"
        )
    kinds = without_secrets(str(value)[:_LOOKED_AT])[1]
    written = f"and a parameter is written into the run ({parameter.help})"
    return f"holds {', '.join(kinds)}, {written}" if kinds else ""


def refuse(problems: Sequence[str]) -> None:
    """
    Raise one ParameterError for all problems, if there are any.
    """
    if problems:
        count = f"{len(problems)} parameter{'s are' if len(problems) > 1 else ' is'}"
        raise ParameterError(
            f"expected parameters as the notebooks declare them; {count} not",
            evidence="\n".join(problems),
            next_step="correct each where it is set; nothing was run",
        )
