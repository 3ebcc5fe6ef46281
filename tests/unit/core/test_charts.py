"""
Charts for every reader: the same colours everywhere, and their findings as text.
"""

import pandas as pd

from runbook_lib.core.charts import alt, colours, titles_of

POINTS = pd.DataFrame({"x": [0, 1], "y": [0, 1]})


def chart(title):
    return alt.Chart(POINTS, title=title, width=60, height=30).mark_line().encode(x="x", y="y")


def test_a_chart_has_its_findings_beside_the_picture():
    """A screen reader, and a terminal, get the titles."""
    both = alt.vconcat(chart("worker leads"), chart(alt.Title("in memory", subtitle=["as read"])))
    data, metadata = both._repr_mimebundle_()
    assert "Chart: worker leads. in memory. as read" == data["text/plain"]
    assert data["text/plain"] == metadata["image/png"]["alt"]
    assert data["image/png"]


def test_a_title_is_said_once():
    assert "one" == titles_of(alt.hconcat(chart("one"), chart("one")).to_dict())


def test_a_service_has_its_colour_whatever_stands_beside_it():
    def colour_of(name, names):
        scale = colours(names).to_dict()
        return scale["range"][scale["domain"].index(name)]

    for name in ("worker", "rabbitmq", "postgres"):
        first, second = (colour_of(name, n) for n in ([name, "dealer"], ["updater", "x", name]))
        assert first == second
    assert colour_of("rabbitmq", ["rabbitmq"]) == colour_of("rabbitmq-server", ["rabbitmq-server"])


def test_more_rows_than_a_browser_takes_are_drawn():
    many = pd.DataFrame({"x": range(6000), "y": range(6000)})
    assert 6000 == len(next(iter(alt.Chart(many).mark_line().to_dict()["datasets"].values())))
