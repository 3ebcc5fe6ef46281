"""
Evaluate IAM policies: may this action be done on this resource, under these conditions?

moto's own evaluation knows Action and Effect only. This one adds NotAction, resources,
conditions, variables such as ${aws:PrincipalTag/team}, and that an explicit deny wins.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from lab.core.errors import LabError

Statement = Mapping[str, Any]
ContextValue = str | list[str]


class Verdict(enum.Enum):
    ALLOWED = "allowed"
    NOT_ALLOWED = "no identity-based policy allows"
    DENIED = "an explicit deny in an identity-based policy denies"


VARIABLE = re.compile(r"\$\{([^},]+)(?:, '([^']*)')?\}")
LITERAL = re.compile(r"\$\{([*?$])\}")


def glob(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    """
    Match IAM's wildcards: `*` is any run of characters, `?` any one; `${*}` is a plain `*`.
    """
    return bool(_compiled(pattern, ignore_case).fullmatch(text))


@lru_cache(4096)  # a policy's patterns are the same at each request
def _compiled(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    parts = re.findall(r"\$\{[*?$]\}|.", pattern, re.DOTALL)
    wild = {"*": ".*", "?": "."}
    expression = "".join(wild.get(part) or re.escape(plain(part)) for part in parts)
    return re.compile(expression, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def plain(text: str) -> str:
    """
    Undo the escapes `${*}`, `${?}` and `${$}`.
    """
    return LITERAL.sub(r"\1", text)


def expand(text: str, context: Mapping[str, ContextValue]) -> str | None:
    """
    Replace the variables of a resource or a condition's value; None if one has no value.

    A value is taken literally: a person whose tag is `*` does not get everything.
    """
    parts, end = [], 0
    for found in VARIABLE.finditer(text):
        if LITERAL.fullmatch(found[0]):
            continue
        value = context.get(found[1].lower(), found[2])
        if not isinstance(value, str):
            return None
        parts += [text[end : found.start()], re.sub(r"[*?$]", r"${\g<0>}", value)]
        end = found.end()
    return "".join([*parts, text[end:]])


OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda wanted, actual: plain(wanted) == actual,
    "StringEqualsIgnoreCase": lambda wanted, actual: plain(wanted).lower() == actual.lower(),
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
        patterns = _expanded(statement[element], context)
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
        _holds(operator, _expanded(wanted, context), context.get(key.lower()))
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


def _expanded(values: object, context: Mapping[str, ContextValue]) -> list[str]:
    texts = (expand(str(value), context) for value in _listed(values))
    return [text for text in texts if text is not None]


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]
