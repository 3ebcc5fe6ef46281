"""
Evaluate IAM policies: may this action be done on this resource, under these conditions?

moto's own evaluation knows Action and Effect only. This one adds NotAction, resources,
conditions, and that an explicit deny wins.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lab.core.errors import LabError

Statement = Mapping[str, Any]
ContextValue = str | list[str]


class Verdict(enum.Enum):
    ALLOWED = "allowed"
    NOT_ALLOWED = "no identity-based policy allows it"
    DENIED = "an explicit deny"


def glob(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    """
    Match IAM's wildcards: `*` is any run of characters, `?` any one.
    """
    expression = "".join({"*": ".*", "?": "."}.get(c) or re.escape(c) for c in pattern)
    return bool(re.fullmatch(expression, text, re.DOTALL | (re.IGNORECASE if ignore_case else 0)))


OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda wanted, actual: wanted == actual,
    "StringEqualsIgnoreCase": lambda wanted, actual: wanted.lower() == actual.lower(),
    "StringLike": glob,
    "ArnEquals": glob,
    "ArnLike": glob,
    "Bool": lambda wanted, actual: wanted.lower() == actual.lower(),
    "NumericEquals": lambda wanted, actual: float(wanted) == float(actual),
    "NumericLessThan": lambda wanted, actual: float(actual) < float(wanted),
    "NumericLessThanEquals": lambda wanted, actual: float(actual) <= float(wanted),
    "NumericGreaterThan": lambda wanted, actual: float(actual) > float(wanted),
    "NumericGreaterThanEquals": lambda wanted, actual: float(actual) >= float(wanted),
}
OPERATOR_PATTERN = re.compile(r"(?:(ForAllValues|ForAnyValue):)?(\w+?)(IfExists)?")


def evaluate(
    statements: Iterable[Statement],
    action: str,
    resource: str,
    context: Mapping[str, ContextValue],
) -> Verdict:
    """
    Return the verdict of these statements. Action names and condition keys ignore case, as in AWS.
    """
    known = {key.lower(): value for key, value in context.items()}
    verdict = Verdict.NOT_ALLOWED
    for statement in statements:
        if not _applies(statement, action, resource, known):
            continue
        if statement["Effect"] == "Deny":
            return Verdict.DENIED
        verdict = Verdict.ALLOWED
    return verdict


def statements_of(document: Mapping[str, Any]) -> list[Statement]:
    """
    Return the statements of a policy document, whose Statement may be one or a list.
    """
    return _listed(document["Statement"])


def _applies(
    statement: Statement, action: str, resource: str, context: Mapping[str, ContextValue]
) -> bool:
    def any_matches(element: str, text: str, *, ignore_case: bool) -> bool:
        patterns = _listed(statement[element])
        return any(glob(pattern, text, ignore_case=ignore_case) for pattern in patterns)

    if "Action" in statement and not any_matches("Action", action, ignore_case=True):
        return False
    if "NotAction" in statement and any_matches("NotAction", action, ignore_case=True):
        return False
    if "Resource" in statement and not any_matches("Resource", resource, ignore_case=False):
        return False
    if "NotResource" in statement and any_matches("NotResource", resource, ignore_case=False):
        return False
    return all(
        _holds(operator, [str(value) for value in _listed(wanted)], context.get(key.lower()))
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    )


def _holds(operator: str, wanted: list[str], actual: ContextValue | None) -> bool:
    match = OPERATOR_PATTERN.fullmatch(operator)
    quantifier, name, if_exists = match.groups() if match else (None, operator, None)
    if name == "Null":
        return all((actual is None) == (value.lower() == "true") for value in wanted)
    positive = re.sub(r"^(String|Arn|Numeric)Not", r"\1", name)
    if positive not in OPERATORS:
        raise LabError(
            f"expected a condition operator that the lab can evaluate, but got {operator!r}",
            evidence=f"it knows Null, {', '.join(OPERATORS)}, their Not forms and IfExists",
            next_step="leave the condition out of the policy of this lab",
        )
    negated = positive != name
    if actual is None:
        return bool(if_exists) or negated or quantifier == "ForAllValues"
    compare = OPERATORS[positive]
    hits = [any(compare(value, one) for value in wanted) for one in _listed(actual)]
    if quantifier == "ForAllValues":
        return not any(hits) if negated else all(hits)
    if quantifier == "ForAnyValue" and negated:
        return not all(hits)
    return not any(hits) if negated else any(hits)


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]
