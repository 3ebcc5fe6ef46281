"""
A finding: a chart or a table, and the sentence that says what is to be seen in it.
"""

from dataclasses import dataclass
from html import escape

import pandas as pd
from IPython.display import HTML, display


@dataclass(frozen=True)
class Finding:
    """
    What a notebook shows; without a picture, the words say why there is none.
    """

    words: str
    picture: object = None

    def __repr__(self) -> str:
        return self.words

    def _ipython_display_(self) -> None:
        if self.picture is None:
            display(HTML(f"<p><em>Not in this recording: {escape(self.words)}.</em></p>"))
            return
        table = isinstance(self.picture, pd.DataFrame)
        display(HTML(_as_html(self.picture)) if table else self.picture)  # type: ignore[arg-type]
        display(HTML(f"<p>{escape(self.words)}</p>"))


def _as_html(table: pd.DataFrame) -> str:
    """
    Whole, and without row numbers, which nobody asked for.
    """
    with pd.option_context("display.max_colwidth", None):
        html: str = table.to_html(index=False, border=0, na_rep="")
    return html


def sentence(text: str) -> str:
    """
    Words as a sentence: a capital, and a stop.
    """
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def count_of(number: int, noun: str) -> str:
    """
    So many of something, in words that agree.
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"


def first_line(error: Exception) -> str:
    """
    What an error expected and saw, for a section that then does not apply.
    """
    return str(error).splitlines()[0]
