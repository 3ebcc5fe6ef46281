"""
The firewall as a picture: the ports that each source reaches, and differences from the tables.
"""

import pandas as pd

from runbook_lib.core.charts import alt

_OPEN, _CLOSED, _DIFFERENT = "#1b7f79", "#e4e7eb", "#e8590c"


def plot_matrix(expected: pd.DataFrame, measured: pd.DataFrame) -> alt.FacetChart:
    """
    Draw one small square per probe: rows are sources, columns the ports of each target.

    Uses the two matrices of `reachability`. Differences are outlined, and counted in the title.
    """
    data = measured.assign(
        port_name=measured["protocol"] + " " + measured["port"].astype(str),
        seen=_words(measured["open"]),
        expected=_words(expected["open"]),
        different=measured["open"] != expected["open"],
    )
    ports = data.sort_values(["protocol", "port"])["port_name"].unique().tolist()
    sources = [*dict.fromkeys(data["target"]), "operator", "outside"]
    place = alt.Chart().encode(
        x=alt.X("port_name:N", sort=ports, title=None).axis(labelAngle=-90, labelFontSize=9),
        y=alt.Y("source:N", sort=sources, title="from"),
        tooltip=["source", "target", "port_name", "expected", "seen", "answer"],
    )
    squares = place.mark_rect(stroke="white").encode(
        color=alt.Color("seen:N", title="seen")
        .scale(domain=["open", "closed"], range=[_OPEN, _CLOSED])
        .legend(orient="bottom")
    )
    outlines = place.mark_rect(filled=False, stroke=_DIFFERENT, strokeWidth=3).transform_filter(
        "datum.different"
    )
    return (
        alt.layer(squares, outlines, data=data)
        .properties(width=11 * len(ports), height=16 * len(sources))
        .facet(
            column=alt.Column("target:N", sort=sources, title="to (the ports of each target)"),
            spacing=6,
        )
        .properties(title=alt.Title(_finding(data), anchor="start"))
    )


def _words(is_open: "pd.Series[bool]") -> "pd.Series[str]":
    return is_open.map({True: "open", False: "closed"})


def _finding(data: pd.DataFrame) -> str:
    different = data[data["different"]]
    count = len(data)
    if different.empty:
        is_open = int((data["seen"] == "open").sum())
        return (
            f"The firewall is what the tables say: all {count} answers as expected "
            f"({is_open} open, {count - is_open} closed)"
        )
    first = different.iloc[0]
    return (
        f"{len(different)} of {count} answers differ from the tables; the first is "
        f"{first['source']} to {first['target']} {first['port_name']}: "
        f"{first['expected']} expected, {first['seen']} seen"
    )
