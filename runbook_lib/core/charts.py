"""
Altair with PNG output; modules that draw charts import `alt` from here.

JupyterLab's own renderer supports vega-lite up to 5, but altair writes 6; altair's HTML downloads
vega from the internet; and a notebook that was run headless is not trusted, so JupyterLab shows no
SVG of it. A PNG works in JupyterLab, in the report and in a saved notebook. Its titles, which state
the findings, stand beside it as text, for who cannot see it.
"""

from typing import Any
from zlib import crc32

import altair as alt
import pandas as pd
from altair.utils.mimebundle import spec_to_mimebundle

BINS = 400
"""More points than this over the width of a page are not seen."""
_COLOURS = {
    "worker": "#1b7f79", "rabbitmq": "#e8590c", "updater": "#3b5bdb", "dealer": "#9c36b5",
    "admin-worker": "#868e96", "manager": "#e8590c", "each worker node": "#1b7f79",
    "worker-1": "#1b7f79", "worker-2": "#3b5bdb", "worker-3": "#9c36b5", "worker-4": "#5c940d",
    "TASK_QUEUE": "#1b7f79", "RESULT_QUEUE": "#3b5bdb",
}  # fmt: skip
_OTHERS = ["#c2255c", "#a07b00", "#0b7285", "#6741d9", "#2b8a3e", "#d6336c", "#495057", "#ad5a00"]

__all__ = ["alt", "colours", "highest", "titles_of"]


def colours(names: list[str]) -> alt.Scale:
    """
    Return the colours of services, nodes or queues: a name has the same one in every chart.
    """
    known = [_COLOURS.get(name.removesuffix("-server")) for name in names]
    others = [_OTHERS[crc32(name.encode()) % len(_OTHERS)] for name in names]
    return alt.Scale(domain=names, range=[k or o for k, o in zip(known, others, strict=True)])


def highest(table: pd.DataFrame, values: list[str], by: list[str] | None = None) -> pd.DataFrame:
    """
    Return the highest values of each of about 400 bins of `time`, so that no peak is lost.
    """
    span_s = (table["time"].max() - table["time"].min()).total_seconds()
    keys = [table["time"].dt.floor(f"{max(1, round(span_s / BINS))}s"), *(by or [])]
    return table.groupby(keys)[values].max().reset_index()


def titles_of(spec: dict[str, Any]) -> str:
    """
    Return the titles of a chart and of its parts, with their subtitles, as sentences.
    """
    title = spec.get("title", "")
    texts = (
        [title] if isinstance(title, str) else [title.get("text", ""), title.get("subtitle", "")]
    )
    flat = [t for text in texts for t in (text if isinstance(text, list) else [text]) if t]
    parts = [spec.get(name, []) for name in ("vconcat", "hconcat", "layer")]
    flat += [words for part in parts for each in part if (words := titles_of(each))]
    return ". ".join(dict.fromkeys(flat))


def _png(spec: dict[str, Any], **_: object) -> tuple[dict[str, Any], dict[str, Any]]:
    made: Any = spec_to_mimebundle(spec, format="png", mode="vega-lite", ppi=144)
    bundle, metadata = made  # sharp, at the size it was drawn
    words = f"Chart: {titles_of(spec)}"
    size = metadata.get("image/png", {})
    return bundle | {"text/plain": words}, metadata | {"image/png": size | {"alt": words}}


alt.renderers.register("titled_png", _png)
alt.renderers.enable("titled_png")
# the limit protects browsers; a PNG carries no rows, and a chart with forty services is drawn too
alt.data_transformers.disable_max_rows()
