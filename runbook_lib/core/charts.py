"""
Altair, set to draw charts as pictures; modules that draw import `alt` from here.

JupyterLab's own vega renderer ends with vega-lite 5 and altair writes 6; altair's HTML fetches
vega from outside. A PNG shows everywhere: in JupyterLab, in the report, in a saved notebook.
"""

import altair as alt

alt.renderers.enable("png", ppi=144)  # sharp, and as large as it was drawn

__all__ = ["alt"]
