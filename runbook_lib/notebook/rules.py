"""
The rules of parameters: ranges, choices, patterns, and patterns with a name.

Nothing but a bool is without one: a value reaches EC2, a shell, a path or a name.
"""

import re
from collections.abc import Mapping
from typing import Any

KINDS = {
    "URL": r"https?://\w[\w.-]{0,252}(:\d{1,5})?(/[\w.~%+-]+)*/?",  # no user, query or quotes
    "path": r"[^\x00-\x1f\x7f]{1,1000}",  # of a file or folder on this machine
    "folder": r"[A-Za-z0-9][\w.-]{0,62}",  # the name of one
    "queue": r"[\w.:@-]{1,255}",
    "stack": r"(?!registry$)[^\W_][\w-]{0,39}",  # but the stack of our own registry
    "instance type": r"[a-z0-9-]{2,20}\.[a-z0-9-]{2,20}",
    "address/32": r"\d{1,3}(\.\d{1,3}){3}/32",
    "DNS name": r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?",
    "network": r"\d{1,3}(\.\d{1,3}){3}/\d{1,2}",
}
"""Patterns with a name, for those that several parameters share or that would be long."""

_LONGEST, _MOST = 20_000, 1_000  # characters of a text, items of a list, whatever the rule

_END = r"-?\d+(?:\.\d+)?|[a-z]\w*"
_RANGE = re.compile(rf"({_END})?\.\.({_END})?")
_BUT = re.compile(r"(.+) but ([a-z]\w*)")


def is_rule(text: str) -> bool:
    """
    Check whether a text has the form of a rule.
    """
    but = _BUT.fullmatch(text)
    a_range = _RANGE.fullmatch(text) and text != ".."
    return bool(a_range or "|" in text or _pattern(but[1] if but else text))


def find_bounds(rule: str) -> list[str]:
    """
    Return the parameters at the ends of a range.
    """
    ends = _RANGE.fullmatch(rule)
    return [end for end in (ends.groups() if ends else ()) if end and end.isidentifier()]


def find_names(rule: str) -> list[str]:
    """
    Return the other parameters that a rule names.
    """
    but = _BUT.fullmatch(rule)
    return [but[2]] if but else find_bounds(rule)


def excess(value: Any) -> str:  # noqa: ANN401 - any value that a file may hold
    """
    Return what is too long about a value, whatever its rule; "" if nothing is.
    """
    items = value if isinstance(value, list) else [value]
    longest = max((len(item) for item in items if isinstance(item, str)), default=0)
    if len(items) > _MOST:
        return f"has {len(items)} items, expected at most {_MOST}"
    return f"has {longest} characters, expected at most {_LONGEST}" if longest > _LONGEST else ""


def follows(rule: str, value: Any, others: Mapping[str, Any]) -> bool:  # noqa: ANN401 - as above
    """
    Check a value against a rule; `others` are the values of the parameters that it names.
    """
    if but := _BUT.fullmatch(rule):
        return value != others.get(but[2]) and follows(but[1], value, others)
    if match := _RANGE.fullmatch(rule):
        # the other parameter may be wrong itself, which is its own problem
        low, high = (_number(others.get(end, end)) if end else None for end in match.groups())
        return (low is None or value >= low) and (high is None or value <= high)
    if pattern := _pattern(rule):
        return bool(re.fullmatch(pattern, str(value), flags=re.ASCII))
    return not rule or str(value) in [choice.strip() for choice in rule.split("|")]


def _pattern(rule: str) -> str:
    return KINDS.get(rule, rule[1:-1] if re.fullmatch(r"/.+/", rule) else "")


def _number(end: Any) -> float | None:  # noqa: ANN401 - as above
    try:
        return float(end)
    except (TypeError, ValueError):
        return None
