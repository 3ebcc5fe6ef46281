"""
The parameters cell of a notebook: one `name: type = value  # help; rule` a line.

The rule after the last semicolon is optional. There are three kinds: a range `1..20` (either end
may be missing), a choice `docker-ce | distro`, or a pattern `/[a-z][a-z0-9-]*/`. A parameter whose
help begins with "required" has the default "" and must be given. papermill 2.7 reads the same cell
with regular expressions: it skips a line with a second `=` and cuts a default at `#`, so both are
refused here.
"""

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runbook_lib.core.errors import ParameterError

TYPES = {kind.__name__: kind for kind in (str, int, float, bool, list)}

_NUMBER = r"-?\d+(?:\.\d+)?"
_RANGE = re.compile(rf"({_NUMBER})?\.\.({_NUMBER})?")


@dataclass(frozen=True)
class Parameter:
    """
    One declared parameter; `where` is the notebook, and the line in its parameters cell.
    """

    name: str
    kind: str
    default: Any
    help: str
    rule: str
    where: str

    @property
    def required(self) -> bool:
        return self.default == "" and self.help.startswith("required")

    @property
    def expected(self) -> str:
        return f"{self.kind} {self.rule}".strip()

    def allows(self, value: Any) -> bool:  # noqa: ANN401 - any value that a file may hold
        """
        Check a value against type and rule; optional text may be empty, and 1 is a valid float.
        """
        kinds = (int, float) if self.kind == "float" else (TYPES[self.kind],)
        if type(value) not in kinds:
            return False
        if value == self.default == "":
            return not self.required
        return all(_follows(self.rule, v) for v in (value if self.kind == "list" else [value]))


def declarations(source: str, where: str) -> dict[str, Parameter]:
    """
    Read a parameters cell.

    Raises ParameterError with every line that does not have this form.
    """
    declared: dict[str, Parameter] = {}
    problems = []
    for number, line in enumerate(source.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            parameter = _declaration(line, f"{where}, line {number}")
        except (SyntaxError, ValueError) as error:
            problems.append(f"{where}, line {number}: {line.strip()}  ({error})")
            continue
        declared[parameter.name] = parameter
    if problems:
        raise ParameterError(
            "expected lines such as  worker_count: int = 4  # workers in the cluster; 1..20",
            evidence="\n".join(problems),
            next_step="correct the parameters cell",
        )
    return declared


def _declaration(line: str, where: str) -> Parameter:
    (node,) = ast.parse(line).body
    if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value):
        raise ValueError("not of the form  name: type = value")
    kind = ast.unparse(node.annotation)
    default = ast.literal_eval(node.value)
    if kind not in TYPES:
        raise ValueError(f"expected a plain {', '.join(TYPES)}")
    text = line.encode()[node.end_col_offset :].decode().strip()
    if not text.startswith("# "):
        raise ValueError("no help comment")
    if line.count("=") != 1 or "#" in line[: line.index(text)]:
        raise ValueError("papermill does not understand a second = or a # in the default")
    words, rule = _split(text.removeprefix("# "))
    return Parameter(node.target.id, kind, default, words, rule, where)


def _split(text: str) -> tuple[str, str]:
    words, _, rule = (part.strip() for part in text.rpartition(";"))
    if (_RANGE.fullmatch(rule) and rule != "..") or "|" in rule or re.fullmatch(r"/.+/", rule):
        return words, rule
    if words and not re.search(r"[a-z]", rule):
        raise ValueError("after ; expected a range 1..20, a choice a | b, a /pattern/, or words")
    return text, ""


def _follows(rule: str, value: Any) -> bool:  # noqa: ANN401 - any value that a file may hold
    if match := _RANGE.fullmatch(rule):
        low, high = match.groups()
        return (not low or value >= float(low)) and (not high or value <= float(high))
    if re.fullmatch(r"/.+/", rule):
        return bool(re.fullmatch(rule[1:-1], str(value)))
    return not rule or str(value) in [choice.strip() for choice in rule.split("|")]


@dataclass(frozen=True)
class Setting:
    """
    A value and its source: `params/lab.yml:12`, or `-p batch=300`.
    """

    value: Any
    where: str


def find_problems(parameter: Parameter, setting: Setting) -> list[str]:
    """
    Find the problems of a value, in words; empty if it follows its rule.
    """
    if parameter.required and setting.value == "":
        return [f"{setting.where}: {parameter.name} is missing ({parameter.help})"]
    if parameter.allows(setting.value):
        return []
    quote = isinstance(setting.value, TYPES[parameter.kind]) or parameter.kind != "str"
    hint = "" if quote else "; a text needs quotes"
    return [
        f"{setting.where}: {parameter.name} is {setting.value!r}, expected {parameter.expected}"
        f" ({parameter.help}){hint}"
    ]


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
