r"""
The parameters cell of a notebook: one `name: type = value  # help; rule` a line.

The rule after the last semicolon is of one of four kinds: a range `1..20` (either end may be
missing, or be another parameter: `1..max_scale`), a choice `docker-ce | distro`, a pattern
`/[a-z][a-z0-9-]*/`, or the name of one in `rules.KINDS`; for a list, it holds for each item, which
is a text. ` but other` after it refuses the value of another parameter. A parameter whose help
begins with "required" has the default "" and must be given; with "required with surfaces", only if
`surfaces` is not empty. papermill 2.7 reads the same cell with regular expressions: it skips a line
with a second `=` and cuts a default at `#`, so both are refused here; `\x3d` in help and rule is an
equals sign.
"""

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbook_lib.core.errors import ParameterError
from runbook_lib.notebook import rules

TYPES = {kind.__name__: kind for kind in (str, int, float, bool, list)}

SECRET_NAME = re.compile(
    r"PASSW|PASSPHRASE|PASSCODE|(?<!BY)(?<!COM)PASS(?![A-Z])|_PWD|SECRET|TOKEN|KEY|CREDENTIAL"
    r"|COOKIE(?![A-Z_])",
    re.IGNORECASE,
)
"""What the name of a variable with a secret contains; no parameter may set one."""


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

    @property
    def bounds(self) -> list[str]:
        """
        The other parameters that its range names.
        """
        return rules.find_bounds(self.rule)

    def needed(self, others: Mapping[str, Any]) -> bool:
        """
        Check whether it must be given, beside these values of the other parameters.
        """
        condition = re.match(r"required with (\w+)", self.help)
        return self.required and (condition is None or bool(others.get(condition[1])))

    def allows(self, value: Any, others: Mapping[str, Any] | None = None) -> bool:  # noqa: ANN401 - any value that a file may hold
        """
        Check a value against type and rule; optional text may be empty, and 1 is a valid float.

        `others` are the values of the parameters that a range names.
        """
        kinds = (int, float) if self.kind == "float" else (TYPES[self.kind],)
        if type(value) not in kinds or rules.excess(value):
            return False
        if self.kind == "list":
            return not self.wrong_items(value)
        if value == self.default == "":
            return not self.needed(others or {})
        return rules.follows(self.rule, value, others or {})

    def wrong_items(self, items: Sequence[Any]) -> list[Any]:
        """
        Return the items of a list that are not texts or break the rule.
        """
        return [v for v in items if type(v) is not str or not rules.follows(self.rule, v, {})]


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
    words, rule = _split(text.removeprefix("# ").replace(r"\x3d", "="))
    return Parameter(node.target.id, kind, default, words, rule, where)


def _split(text: str) -> tuple[str, str]:
    words, _, rule = (part.strip() for part in text.rpartition(";"))
    if rules.is_rule(rule):
        return words, rule
    if words and not re.search(r"[a-z]", rule):
        raise ValueError("after ; expected a range 1..20, a choice a | b, a /pattern/, or words")
    return text, ""
