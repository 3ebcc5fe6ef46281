"""
Every table is shown one way: whole, escaped, text to the left and numbers to the right.
"""

import re

import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

from runbook_lib.core import tables
from runbook_lib.core.tables import MOST_ROWS, frame_html, html_table


def cells(html):
    """The texts, row by row."""
    rows = re.findall(r"<tr>(.*?)</tr>", html, flags=re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, flags=re.DOTALL) for row in rows]


def sides(html):
    """Where the cells of the last row are aligned to."""
    return re.findall(r"text-align:(\w+)", html.rpartition("<tr>")[2])


def test_text_is_aligned_left_and_numbers_right_in_head_and_rows():
    html = frame_html(pd.DataFrame({"node": ["a", "b"], "tasks": [1, 2], "load": [0.5, np.nan]}))
    assert ["left", "right", "right"] == sides(html)
    assert html.count("text-align:right") == 2 * 3


def test_an_index_that_numbers_the_rows_is_left_out():
    frame = pd.DataFrame({"node": ["a", "b", "c"]})
    assert [["node"], ["a"], ["b"], ["c"]] == cells(frame_html(frame))
    assert [["node"], ["a"], ["c"]] == cells(frame_html(frame[frame["node"] != "b"]))


@pytest.mark.parametrize(
    ("index", "head", "first"),
    [
        (pd.Index(["x", "y"]), [""], ["x"]),
        (pd.Index([7, 8], name="step"), ["step"], ["7"]),
        (pd.MultiIndex.from_tuples([("x", 1), ("y", 2)]), ["", ""], ["x", "1"]),
        (
            pd.MultiIndex.from_tuples([("x", 1), ("y", 2)], names=["role", "n"]),
            ["role", "n"],
            ["x", "1"],
        ),
        (pd.Index(["x", "y"], name="node"), ["node"], ["x"]),
    ],
)
def test_an_index_that_says_something_comes_first(index, head, first):
    frame = pd.DataFrame({"node": ["a", "b"]}, index=index)
    assert [[*head, "node"], [*first, "a"]] == cells(frame_html(frame))[:2]


def test_a_long_text_and_many_columns_are_whole():
    frame = pd.DataFrame({f"column {n}": ["x" * 500] for n in range(60)})
    assert [[*frame.columns], ["x" * 500] * 60] == cells(frame_html(frame))


def test_a_table_says_how_many_rows_it_leaves_out():
    frame = pd.DataFrame({"n": range(MOST_ROWS + 1234)})
    html = frame_html(frame)
    assert 1 + MOST_ROWS == len(cells(html))
    assert html.endswith("<p>1,234 more rows</p>")
    assert "more rows" not in frame_html(frame.head(MOST_ROWS))


def test_values_read_as_a_person_writes_them():
    frame = pd.DataFrame(
        {
            "flag": [True, False],
            "maybe": [True, None],
            "count": pd.array([15672, None], dtype="Int64"),
            "share": [0.25, np.nan],
            "when": pd.to_datetime(["2026-01-02 03:04:05", None]),
            "groups": [["a", "b"], None],
            "mixed": [5672, "all"],
        }
    )
    when = "2026-01-02 03:04:05"
    first = ["yes", "yes", "15672", "0.25", when, "a and b", "5672"]
    assert [first, ["no", "", "", "", "", "", "all"]] == cells(frame_html(frame))[1:]


@pytest.mark.parametrize(
    ("numbers", "texts"),
    [
        ([1.0, 20.0], ["1", "20"]),
        ([0.5, 2.25], ["0.50", "2.25"]),
        ([1 / 3, 1.0], ["0.333333", "1.000000"]),
        ([0.1 + 0.2], ["0.3"]),
        ([2**60 + 1], ["1152921504606846977"]),
        ([4e-9, 1.0], ["4e-09", "1"]),
    ],
)
def test_numbers_of_a_column_have_the_same_decimals(numbers, texts):
    assert texts == [row[0] for row in cells(frame_html(pd.DataFrame({"n": numbers})))[1:]]


def test_nothing_brings_markup_into_the_page():
    evil = "<script>alert(1)</script>"
    frame = pd.DataFrame({evil: [evil, [evil]]}, index=pd.Index([evil, "b"], name=evil))
    assert "<script" not in frame_html(frame) + html_table([evil], [[evil], [None]])


def test_a_time_is_shown_to_the_second_with_its_zone():
    times = [pd.Timestamp("2026-01-02T03:04:05.678901Z"), pd.NaT]
    frame = pd.DataFrame({"began": times})
    assert [["began"], ["2026-01-02 03:04:05 UTC"], [""]] == cells(frame_html(frame))


def test_a_table_without_rows_shows_its_columns():
    assert [["node", "tasks"]] == cells(frame_html(pd.DataFrame(columns=["node", "tasks"])))
    assert [["node", "tasks"]] == cells(html_table(["node", "tasks"], []))


def test_a_row_per_value_needs_no_header():
    turned = pd.DataFrame({"broke": ["a broker"], "lost": [0]}).T
    assert [["broke", "a broker"], ["lost", "0"]] == cells(frame_html(turned, header=False))


def test_equal_names_of_columns_are_both_shown():
    frame = pd.DataFrame([[1, "a"]], columns=["n", "n"])
    assert [["n", "n"], ["1", "a"]] == cells(frame_html(frame))


def test_a_kernel_shows_a_bare_data_frame_as_this_table(monkeypatch):
    shell = InteractiveShell()
    monkeypatch.setattr(tables, "get_ipython", lambda: shell)
    tables.register()
    frame = pd.DataFrame({"node": ["a"]})
    shown, _ = shell.display_formatter.format(frame)
    assert frame_html(frame) == shown["text/html"]


def test_a_kernel_shows_a_bare_text_without_quotes_and_escapes_what_a_terminal_obeys(monkeypatch):
    shell = InteractiveShell()
    monkeypatch.setattr(tables, "get_ipython", lambda: shell)
    tables.register()
    shown = [
        shell.display_formatter.format(v)[0]["text/plain"] for v in ("it's on", "a\x1b", ["a"])
    ]
    assert ["it's on", "a\\x1b", "['a']"] == shown


def test_outside_a_kernel_there_is_nothing_to_register():
    tables.register()
