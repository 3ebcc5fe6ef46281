"""
What the lint finds: one record for each problem, and a table of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

from markupsafe import Markup

from runbook_lib.core.tables import html_table
from runbook_lib.core.words import count_of
from runbook_lib.stacks.compose.stack_file import StackFile

ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Problem:
    """
    Something in a stack file that will fail in this cluster (error), or that may surprise.

    `service` is "" for what belongs to the whole stack; `where` is file:line.
    """

    severity: str
    service: str
    where: str
    expected: str
    seen: str
    next_step: str

    def __str__(self) -> str:
        service = f"{self.service}: " if self.service else ""
        text = f"{self.severity} {self.where}: {service}expected {self.expected}; {self.seen}"
        return f"{text}\n  next: {self.next_step}"


class Problems(tuple[Problem, ...]):
    """
    All problems of a stack, errors first.
    """

    __slots__ = ()

    @classmethod
    def of(cls, found: Iterable[Problem]) -> "Problems":
        return cls(sorted(dict.fromkeys(found), key=lambda p: (p.severity, p.service)))

    @property
    def errors(self) -> "Problems":
        return Problems(p for p in self if p.severity == ERROR)

    def __repr__(self) -> str:
        errors = len(self.errors)
        count = f"{count_of(errors, 'error')}, {count_of(len(self) - errors, 'warning')}"
        return "\n".join([count if self else "no problems", *map(str, self)])

    def _repr_html_(self) -> Markup:
        head = ["", "service", "where", "expected", "seen", "next"]
        rows = [astuple(p) for p in self]
        return html_table(head, rows) if rows else Markup("<p>no problems</p>")


@dataclass(frozen=True)
class Report:
    """
    The problems found so far; `keys` lead to their place in the stack file.
    """

    stack: StackFile
    found: list[Problem]

    def error(
        self,
        keys: Sequence[str | int],
        expected: str,
        seen: str,
        step: str,
        severity: str = ERROR,
    ) -> None:
        service = str(keys[1]) if keys[0] == "services" else ""
        where = self.stack.where(*keys)
        texts = map(self.stack.hide, (expected, seen, step))
        self.found.append(Problem(severity, service, where, *texts))

    def warn(self, keys: Sequence[str | int], expected: str, seen: str, step: str) -> None:
        self.error(keys, expected, seen, step, WARNING)
