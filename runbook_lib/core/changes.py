"""
The changes that an `ensure_x` or `remove_x` made; empty if there was nothing to do.
"""

from markupsafe import Markup

from runbook_lib.core.activity import ACTIVITY, Change
from runbook_lib.core.tables import html_table


class Changes(list[Change]):
    """
    A list of changes, displayed as a table or as "no changes".
    """

    def add(self, what: str, name: str, action: str) -> None:
        """
        Record a change right after it happened, here and in the kernel's activity.
        """
        change = Change(what, name, action)
        ACTIVITY.changes.append(change)
        self.append(change)

    def __repr__(self) -> str:
        return "\n".join(f"{c.what} {c.name}: {c.action}" for c in self) or "no changes"

    def _repr_html_(self) -> Markup:
        if not self:
            return Markup("<p>✓ <b>no changes</b>: everything was already in place</p>")
        rows = [(change.what, change.name, change.action) for change in self]
        return html_table(["what", "name", "change"], rows)
