"""
YAML, written so that every version of Docker reads the same.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from runbook_lib.stacks.compose.scalars import Timestamp


def written(value: Any, indent: str = "") -> str:  # noqa: ANN401 - any YAML value
    """
    Write a document so that every version of Docker reads the same.

    Texts are in double quotes: version 20.10 takes a plain `y` for true. Each `$` of a value is
    doubled, for nothing is left to be replaced.
    """
    lines: list[str] = []
    _write(lines, "", indent, value)
    return "\n".join(lines) + "\n"


def _write(lines: list[str], head: str, indent: str, value: Any) -> None:  # noqa: ANN401
    if isinstance(value, Mapping) and value:
        lines += [head] if head else []
        for key, item in value.items():
            _write(lines, f"{indent}{_quoted(key)}:", f"{indent}  ", item)
    elif isinstance(value, list) and value:
        lines += [head] if head else []
        for item in value:
            _write(lines, f"{indent}-", f"{indent}  ", item)
    else:
        lines.append(f"{head} {_scalar_text(value)}" if head else _scalar_text(value))


def _scalar_text(value: object) -> str:
    if isinstance(value, Timestamp):
        return str(value)
    if isinstance(value, str):
        return _quoted(value.replace("$", "$$"))
    if isinstance(value, (Mapping, list)):
        return "{}" if isinstance(value, Mapping) else "[]"
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value:+}".replace("+", "").replace("inf", ".inf").replace("nan", ".nan")
    return "null" if value is None else repr(value).lower()


def _quoted(text: str) -> str:
    # YAML reads the escapes of JSON, but for those of two halves of a character
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)
