"""
Altair with PNG output; modules that draw charts import `alt` from here.

JupyterLab's own renderer supports vega-lite up to 5, but altair writes 6; altair's HTML downloads
vega from the internet. A PNG works in JupyterLab, in the report and in a saved notebook.
"""

import altair as alt

alt.renderers.enable("png", ppi=144)  # sharp, at the size it was drawn

__all__ = ["alt"]
