"""
What an `ensure_x` or `remove_x` made different; empty means that there was nothing to do.
"""

from collections.abc import Iterable
from html import escape

from runbook_lib.core.activity import LEDGER, Change


class Changes(list[Change]):
    """
    A list of changes that shows itself as a table, or as "no changes".
    """

    def add(self, what: str, name: str, action: str) -> None:
        """
        Note a change right after it happened, here and in the kernel's ledger.
        """
        change = Change(what, name, action)
        LEDGER.changes.append(change)
        self.append(change)

    def __repr__(self) -> str:
        return "\n".join(f"{c.what} {c.name}: {c.action}" for c in self) or "no changes"

    def _repr_html_(self) -> str:
        if not self:
            return "<p>✓ <b>no changes</b>: everything was already so</p>"
        return (
            "<table><tr><th>what</th><th>name</th><th>change</th></tr>" + _rows(self) + "</table>"
        )


def _rows(changes: Iterable[Change]) -> str:
    return "".join(
        f"<tr><td>{escape(c.what)}</td><td>{escape(c.name)}</td><td>{escape(c.action)}</td></tr>"
        for c in changes
    )
