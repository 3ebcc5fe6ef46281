"""
Altair with PNG output; modules that draw charts import `alt` from here.

JupyterLab's own renderer supports vega-lite up to 5, but altair writes 6; altair's HTML downloads
vega from the internet. A PNG works in JupyterLab, in the report and in a saved notebook.
"""

import altair as alt
import pandas as pd

alt.renderers.enable("png", ppi=144)  # sharp, at the size it was drawn
# the limit protects browsers; a PNG carries no rows, and a chart with forty services is drawn too
alt.data_transformers.disable_max_rows()

BINS = 400
"""More points than this over the width of a page are not seen."""

__all__ = ["alt", "highest"]


def highest(table: pd.DataFrame, values: list[str], by: list[str] | None = None) -> pd.DataFrame:
    """
    Return the highest values of each of about 400 bins of `time`, so that no peak is lost.
    """
    span_s = (table["time"].max() - table["time"].min()).total_seconds()
    keys = [table["time"].dt.floor(f"{max(1, round(span_s / BINS))}s"), *(by or [])]
    return table.groupby(keys)[values].max().reset_index()
