"""
A kernel's activity: changes made, checks passed or failed, API calls sent, notes for a person.

Recorded as things happen, so that an interrupted notebook still shows what it changed.
The summary of a notebook carries the record in its output, where the report finds it.
"""

from collections import Counter
from dataclasses import asdict, dataclass, field

from markupsafe import Markup


@dataclass(frozen=True)
class Change:
    """
    One change outside this kernel, for example `Change("instance", "worker-1", "launched")`.
    """

    what: str
    name: str
    action: str


@dataclass(frozen=True)
class Check:
    name: str
    expected: str
    actual: str
    passed: bool


@dataclass(frozen=True)
class Note:
    """
    Something for a person to use, for example `Note("the map", "http://192.0.2.7:8080")`; or a fact
    that the first lines of the report tell, `Note("results", "7,668, none missing", fact=True)`.
    """

    what: str
    text: str
    fact: bool = False

    def __repr__(self) -> str:
        return f"{self.what}: {self.text}"

    def _repr_html_(self) -> Markup:
        text: str = self.text
        if self.fact:
            return Markup("<p>{}: <b>{}</b></p>").format(self.what, text)
        if text.startswith(("http://", "https://")):
            text = Markup('<a href="{0}">{0}</a>').format(text)
        return Markup("<p>{}:<br><code>{}</code></p>").format(self.what, text)


@dataclass
class Activity:
    """
    Everything recorded since the kernel started.
    """

    changes: list[Change] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    notes: list[Note] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """
        Return plain JSON values; `calls` maps an IAM action such as `ec2:RunInstances` to its
        count.
        """
        return {
            "changes": [asdict(c) for c in self.changes],
            "checks": [asdict(c) for c in self.checks],
            "calls": dict(sorted(self.calls.items())),
            "notes": [asdict(n) for n in self.notes],
        }


ACTIVITY = Activity()
