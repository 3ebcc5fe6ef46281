"""
Lines for a terminal: cut to its width, coloured where it has colours, tables aligned.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

from runbook_lib.core.words import printable

_CODES = {"passed": 32, "failed": 31, "interrupted": 33, "running": 33, "soft": 2}


def is_terminal(stream: TextIO | None = None) -> bool:
    return (stream or sys.stdout).isatty() and os.environ.get("TERM") != "dumb"


def coloured(text: str, what: str, stream: TextIO | None = None) -> str:
    """
    Return the text in the colour of a verdict, unless NO_COLOR is set or this is no terminal.

    Source: https://no-color.org
    """
    if what not in _CODES or os.environ.get("NO_COLOR") or not is_terminal(stream):
        return text
    return f"\x1b[{_CODES[what]}m{text}\x1b[0m"


def width() -> int:
    """
    Return the columns of the terminal; without one (a pipe, a log), no line is cut.
    """
    return shutil.get_terminal_size().columns if is_terminal() else sys.maxsize


def fit(text: str, columns: int) -> str:
    """
    Return one line of at most so many columns, with an ellipsis where it was cut.
    """
    line = printable(text)
    return line if len(line) <= columns else line[: max(0, columns - 1)] + "…"


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]], widest: int = 1) -> str:
    """
    Return an aligned table; column `widest` gives way where the terminal is too narrow.
    """
    shown = [head, *rows]
    sizes = [max(len(printable(row[i])) for row in shown) for i in range(len(head))]
    others = sum(sizes) - sizes[widest] + 2 * (len(head) - 1)
    sizes[widest] = min(sizes[widest], max(20, width() - others))
    lines = [
        "  ".join(fit(text, size).ljust(size) for text, size in zip(row, sizes, strict=True))
        for row in shown
    ]
    return "\n".join(fit(line.rstrip(), width()) for line in lines)
