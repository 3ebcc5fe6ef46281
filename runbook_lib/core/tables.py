"""
Tables in notebooks and the report: complete, with text left-aligned and numbers right-aligned.

Each cell has its own alignment: JupyterLab otherwise right-aligns all of them, and removes style
sheets from the output of an untrusted notebook. The page sets the colours.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from numbers import Real
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython
from IPython.lib.pretty import RepresentationPrinter
from markupsafe import Markup

from runbook_lib.core.words import in_words, printable

if TYPE_CHECKING:  # a kernel without data frames does not import pandas
    import pandas as pd

MOST_ROWS = 200
"""The most rows shown; a longer DataFrame ends with the number of omitted rows."""

_HEADING = Markup('<th style="{}">{}</th>')
_CELL = Markup('<td style="{}">{}</td>')


def register() -> None:
    """
    Make this kernel show DataFrames with `frame_html`, and a text without quotes.
    """
    shell = get_ipython()
    if shell and shell.display_formatter:
        html = shell.display_formatter.formatters["text/html"]
        html.for_type_by_name("pandas", "DataFrame", frame_html)
        shell.display_formatter.formatters["text/plain"].for_type(str, _show_text)


def _show_text(text: str, printer: RepresentationPrinter, _cycle: bool) -> None:
    # inside a list or a dictionary it keeps its quotes
    printer.text(printable(text) if len(printer.stack) == 1 else repr(text))


def frame_html(frame: "pd.DataFrame", *, header: bool = True) -> Markup:
    """
    Return a DataFrame as an HTML table; its index comes first, unless it only numbers the rows.
    """
    shown, index = frame.head(MOST_ROWS), frame.head(MOST_ROWS).index
    columns: list[tuple[Any, Any]] = [
        (name, shown.iloc[:, place]) for place, name in enumerate(shown.columns)
    ]
    if index.nlevels > 1 or index.name is not None or index.dtype.kind not in "iu":
        levels = range(index.nlevels)
        columns[:0] = [(index.names[level], index.get_level_values(level)) for level in levels]
    head = [_text(name) for name, _ in columns]
    values = [
        [None if missing else value for value, missing in zip(c.tolist(), c.isna(), strict=True)]
        for _, c in columns
    ]
    more = len(frame) - len(shown)
    omitted = Markup("<p>{:,} more rows</p>").format(more) if more else ""
    return _html(head if header else [], values) + omitted


def html_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup:
    """
    Return rows of values as an HTML table.
    """
    return _html(head, list(zip(*rows, strict=True)))


def _html(head: Sequence[str], columns: Sequence[Sequence[Any]]) -> Markup:
    # only a column of numbers is right-aligned
    numeric = [
        all(isinstance(v, Real | None) and not isinstance(v, bool) for v in c) for c in columns
    ]
    styles = [f"text-align:{'right' if number else 'left'}" for number in numeric]
    texts = [_numbers(c) if n else map(_text, c) for c, n in zip(columns, numeric, strict=True)]
    rows = [_row(_CELL, row, styles) for row in zip(*texts, strict=True)]
    top = [_row(_HEADING, head, styles or ["text-align:left"] * len(head))] if head else []
    return Markup("<table>{}</table>").format(Markup().join([*top, *rows]))


def _row(cell: Markup, texts: Iterable[str], styles: Iterable[str]) -> Markup:
    cells = [cell.format(style, text) for text, style in zip(texts, styles, strict=True)]
    return Markup("<tr>{}</tr>").format(Markup().join(cells))


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S %Z}".rstrip()
    is_plain = isinstance(value, str | int) and not isinstance(value, bool)
    return "" if value is None else str(value) if is_plain else in_words(value)


def _numbers(column: Sequence[Any]) -> list[str]:
    # with as many decimals as the most precise value needs, at most six
    exact = [f"{v:.6f}".rstrip("0") for v in column if isinstance(v, float)]
    decimals = max((len(text.partition(".")[2]) for text in exact), default=0)
    return ["" if v is None else _number(v, decimals) for v in column]


def _number(value: float, decimals: int) -> str:
    if isinstance(value, int) and not decimals:
        return str(value)
    rounded = f"{value:.{decimals}f}"
    return rounded if float(rounded) or not value else f"{value:g}"
