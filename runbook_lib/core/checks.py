"""
Checks that describe expected and actual values in words, a summary table of them, and notes.
"""

from collections.abc import Sized
from dataclasses import dataclass

from IPython.core.getipython import get_ipython
from IPython.display import display
from markupsafe import Markup

from runbook_lib.core.activity import ACTIVITY, Activity, Check, Note
from runbook_lib.core.errors import CheckFailedError
from runbook_lib.core.tables import html_table
from runbook_lib.core.words import count_of, in_words

SUMMARY_MIME = "application/vnd.runbook.summary+json"
"""The MIME type of the activity in a summary's output, from which the report reads it."""


@dataclass(frozen=True)
class Verdict:
    """
    A check that passed, as a notebook shows it.
    """

    check: Check

    def __repr__(self) -> str:
        return f"✓ {self.check.name}: {self._seen()}"

    def _repr_html_(self) -> Markup:
        return Markup("<p>✓ <b>{}</b>: {}</p>").format(self.check.name, self._seen())

    def _seen(self) -> str:
        seen, expected = self.check.actual, self.check.expected
        return seen if seen.startswith(expected) else f"{seen}, {expected}"  # 0.11, at most 0.15


def check(name: str, *, expected: object, actual: object, next_step: str = "") -> None:
    """
    Compare with `==`, record and show the result; stop the notebook if the values differ.

    Raises CheckFailedError with both values, and `next_step` if given.
    """
    words, seen = in_words(expected), in_words(actual)
    if expected != actual and words == seen:  # 6 and "6" differ, so show them differently
        words, seen = repr(expected), repr(actual)
    _record(name, words, seen, bool(expected == actual), next_step)


def none(what: str, items: Sized | int, *, of: int | None = None, next_step: str = "") -> None:
    """
    Check that a list or count is empty, for example "nodes that are not ready".

    `items` are the offenders, by name or as a count; `of` is the number examined.
    """
    count = len(items) if isinstance(items, Sized) else items
    seen = in_words(items) if count else "none"
    if of is not None:
        names = f": {seen}" if count and isinstance(items, Sized) else ""
        seen = f"{in_words(count) if count else 'none'} of {in_words(of)}{names}"
    _record(what, "none", seen, bool(count == 0), next_step)


def true(statement: str, value: bool, *, next_step: str = "") -> None:
    """
    Check that a statement is true, for example "the guide's tiles are untouched".
    """
    check(statement, expected=True, actual=value, next_step=next_step)


def check_at_most(name: str, *, limit: float, actual: float, next_step: str = "") -> None:
    """
    Check a number against an upper limit.
    """
    most = f"at most {in_words(limit)}"
    _record(name, most, in_words(actual), bool(actual <= limit), next_step)


def _record(name: str, expected: str, actual: str, passed: bool, next_step: str) -> None:
    expected, actual = (t if len(t) <= 300 else f"{t[:299]}…" for t in (expected, actual))
    record = Check(name, expected, actual, passed)
    ACTIVITY.checks.append(record)
    if not passed:
        raise CheckFailedError(f"{name}: expected {expected}, saw {actual}", next_step=next_step)
    if get_ipython() is not None:  # at once: of a cell, a notebook shows the last value alone
        display(Verdict(record))


def note(what: str, text: str) -> Note:
    """
    Show a person something to use; the summary and the end of a headless run repeat it.
    """
    made = Note(what, text)
    ACTIVITY.notes.append(made)
    return made


def fact(what: str, text: str) -> Note:
    """
    Show what this notebook found out; the first lines of a headless run's report repeat it.
    """
    made = Note(what, text, fact=True)
    ACTIVITY.notes.append(made)
    return made


@dataclass(frozen=True)
class Summary:
    """
    The closing table of a notebook: its checks, what it changed, and its notes.
    """

    activity: Activity

    def __repr__(self) -> str:
        lines = [f"{_mark(c.passed)} {c.name}: {c.actual}" for c in self.activity.checks]
        return "\n".join([*lines, self._changed(), *map(repr, self.activity.notes)])

    def _changed(self) -> str:
        count = len(self.activity.changes)
        return count_of(count, "change") if count else "no changes"

    def _repr_mimebundle_(self, **_: object) -> dict[str, object]:
        rows = [(_mark(c.passed), c.name, c.expected, c.actual) for c in self.activity.checks]
        table = html_table(["", "check", "expected", "seen"], rows)
        notes = Markup().join(note._repr_html_() for note in self.activity.notes)
        changed = Markup("<p><b>{}</b></p>").format(self._changed())
        return {
            "text/plain": repr(self),
            "text/html": table + changed + notes,
            SUMMARY_MIME: self.activity.as_dict(),
        }


def summary() -> Summary:
    """
    Return everything that this notebook checked and changed, for its last code cell.
    """
    return Summary(ACTIVITY)


def _mark(passed: bool) -> str:
    return "✓" if passed else "✗"
