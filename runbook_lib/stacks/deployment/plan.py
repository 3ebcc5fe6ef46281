"""
A plan: the steps of a deployment with their fields, as a table and as JSON.
"""

import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any

from markupsafe import Markup

from runbook_lib.core.project import FOLDER_VARIABLE, run_folder
from runbook_lib.core.tables import html_table
from runbook_lib.core.words import count_of
from runbook_lib.stacks.deployment.docker_cli import Request
from runbook_lib.stacks.deployment.spec_fields import Tree

CREATED, UPDATED, RESTARTED, REMOVED = "created", "updated in place", "restarted", "removed"
DRIFTED = "changed by hand since the last deployment"


@dataclass(frozen=True)
class Field:
    """
    One field of a specification: its dotted path, and its values as text.
    """

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Step:
    """
    What happens to one service, network, secret or config.

    `tasks`: how many tasks start, restart or end.
    """

    what: str
    name: str
    action: str
    tasks: int = 0
    fields: tuple[Field, ...] = ()

    def __str__(self) -> str:
        tasks = f" ({count_of(self.tasks, 'task')})" if self.tasks else ""
        reason = ": the file does not have it" if self.action == REMOVED else ""
        return f"{self.action}{tasks}{reason}"


@dataclass(frozen=True)
class Plan:
    """
    What a deployment does, as a table; empty if nothing changes.

    Parameters
    ----------
    drift
        Services changed by hand since the last deployment: each field as deployed, and as it is.
    fingerprint
        A hash of what the plan found in the Swarm.
    content
        A hash of what is deployed, slow to compute, so that no password can be guessed from it.
    wanted
        The planned specification of every service, as it compares.
    """

    stack: str
    steps: tuple[Step, ...]
    drift: tuple[Step, ...]
    fingerprint: str
    content: str
    wanted: dict[str, Tree] = field(default_factory=dict, repr=False, compare=False)
    request: Request = field(default_factory=dict, repr=False, compare=False)
    unchanged: tuple[str, ...] = field(default=(), repr=False, compare=False)
    scaled: tuple[str, ...] = field(default=(), repr=False, compare=False)
    hidden: tuple[str, ...] = field(default=(), repr=False, compare=False)
    unpublished: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def is_empty(self) -> bool:
        """
        Whether the deployment changes nothing.
        """
        return not self.steps

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """
        One row per field; columns: what, name, change, field, before, after.
        """
        rows: list[tuple[str, ...]] = []
        for step in (*self.steps, *self.drift):
            head: tuple[str, ...] = (step.what, step.name, str(step))
            for each in step.fields or (Field("", "", ""),):
                rows.append((*head, each.path, each.old, each.new))
                head = ("", "", "")
        return rows

    def __repr__(self) -> str:
        lines = [] if self.steps else [f"{self.stack}: no changes"]
        for what, name, change, path, old, new in self.rows:
            lines += [f"{what} {name}: {change}"] if what else []
            lines += [f"    {path}: {old} → {new}"] if path else []
        return "\n".join(lines)

    def _repr_html_(self) -> Markup:
        same = Markup("<p>✓ <b>no changes</b>: everything is as the file says</p>")
        head = ["what", "name", "change", "field", "before", "after"]
        return same * self.is_empty + (html_table(head, self.rows) if self.rows else "")

    def as_dict(self) -> dict[str, Any]:
        """
        Return the plan for a JSON file, without the documents and values that it deploys.
        """
        return {
            "stack": self.stack,
            "fingerprint": self.fingerprint,
            "content": self.content,
            "steps": [asdict(step) for step in self.steps],
            "drift": [asdict(step) for step in self.drift],
        }


def keep(plan: Plan) -> None:
    """
    Save a plan with changes beside the headless run that made it.
    """
    if FOLDER_VARIABLE in os.environ and not plan.is_empty:
        folder = run_folder()
        number = len(list(folder.glob("plan-*.json"))) + 1
        file = folder / f"plan-{number}-{plan.stack}.json"
        file.write_text(json.dumps(plan.as_dict(), indent=1, ensure_ascii=False))
