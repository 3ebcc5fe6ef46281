"""
What the page shows: the notices of a file and the nodes by their last heartbeat, as HTML and JSON.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from string import Template

_NOTICE = re.compile(r"(\d{4}-\d\d-\d\d): *(\S.*)")
_PAGE = Template("""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="5"><title>Notice board</title>
<link rel="stylesheet" href="style.css">
<h1>Notice board</h1>
<ul>$notices</ul>
<h2>$reporting of $known nodes report</h2>
<table>$nodes</table>
<footer>release $release · seen $views times</footer>
</html>
""")


@dataclass(frozen=True)
class Notice:
    day: str
    text: str


@dataclass(frozen=True)
class Node:
    name: str
    age_s: int
    state: str


@dataclass(frozen=True)
class Board:
    release: str
    views: int
    notices: list[Notice]
    nodes: list[Node]

    def json(self) -> str:
        return json.dumps(asdict(self))

    def html(self) -> str:
        notices = (f"<li><time>{n.day}</time> {escape(n.text)}" for n in self.notices)
        rows = (
            f'<tr class="{n.state}"><td>{escape(n.name)}<td>{n.state}<td>{n.age_s} s ago'
            for n in self.nodes
        )
        return _PAGE.substitute(
            notices="\n".join(notices) or "<li>No notice yet.",
            nodes="\n".join(rows),
            reporting=sum(node.state == "reports" for node in self.nodes),
            known=len(self.nodes),
            release=escape(self.release),
            views=self.views,
        )


def parse_notices(text: str) -> list[Notice]:
    """
    Return the notices of a file, the newest first; empty lines and comments are skipped.

    Raises ValueError with every line that has no date or no text.
    """
    found, wrong = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if parts := _NOTICE.fullmatch(line):
            found.append(Notice(*parts.groups()))
        else:
            wrong.append(f"line {number}: expected a line like `2026-11-02: text`, saw {line!r}")
    if wrong:
        raise ValueError("\n".join(wrong))
    return sorted(found, key=lambda notice: notice.day, reverse=True)


def find_nodes(
    beats: Mapping[str, float], now: float, *, silent_s: float, forget_s: float
) -> list[Node]:
    """
    Return the nodes by name, but for those that have been silent for longer than `forget_s`.

    `beats` has the time of each node's last beat, by the same clock as `now`.
    """
    ages = {name: max(0.0, now - beat) for name, beat in sorted(beats.items())}
    return [
        Node(name, round(age), "silent" if age > silent_s else "reports")
        for name, age in ages.items()
        if age <= forget_s
    ]
