"""
A finding: a chart or a table, with a sentence that states the result.
"""

from dataclasses import dataclass

import pandas as pd
from IPython.display import HTML, display
from markupsafe import Markup

from runbook_lib.core.tables import frame_html


@dataclass(frozen=True)
class Finding:
    """
    A sentence and a picture; without a picture, the sentence says what that needs, and a page
    collects these sentences in one box.
    """

    words: str
    picture: object = None

    def __repr__(self) -> str:
        return self.words

    def _ipython_display_(self) -> None:
        if self.picture is None:
            display(HTML(Markup("<p><em>Not in this recording.</em></p>")))
            return
        shown = self.picture
        display(HTML(frame_html(shown)) if isinstance(shown, pd.DataFrame) else shown)
        display(HTML(Markup("<p>{}</p>").format(self.words)))


def first_line(error: Exception) -> str:
    """
    Return the first line of an error: what was expected and seen.
    """
    return str(error).splitlines()[0]
