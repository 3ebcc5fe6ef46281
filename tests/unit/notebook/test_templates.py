"""
Templates as data: what they are called, what they say of themselves, which a run is about.
"""

import json

import pytest

from runbook_lib.core.errors import NotFoundError, ParameterError
from runbook_lib.notebook.templates import (
    find_notebooks,
    heading_above,
    select_notebooks,
    write_map,
)

OPENING = """# {number} Launch {number}
> After this page all is well.

Before: [00](00_x.ipynb) · Undo: [91](91_x.ipynb) · Takes: about 1 min · Guide: "AWS - Consola"

```mermaid
# no heading
```
"""


@pytest.fixture
def notebooks(tmp_path):
    for number in ("00", "01", "02", "10", "11", "91"):
        cells = [
            {"cell_type": "markdown", "metadata": {}, "source": [OPENING.format(number=number)]},
            {
                "cell_type": "code",
                "metadata": {"tags": ["parameters"]},
                "source": ["a: int = 1  # a"],
            },
            {
                "cell_type": "code",
                "metadata": {},
                "source": ["import json\n", "from runbook_lib import aws, swarm"],
            },
        ]
        (tmp_path / f"{number}_x.ipynb").write_text(json.dumps({"cells": cells}))
    (tmp_path / "notes.ipynb").write_text("{}")
    return find_notebooks(tmp_path)


def numbers(notebooks):
    return [notebook.number for notebook in notebooks]


def test_numbered_notebooks_are_found_in_order(notebooks):
    assert ["00", "01", "02", "10", "11", "91"] == numbers(notebooks)


def test_a_notebook_says_title_and_facts(notebooks):
    assert "Launch 01" == notebooks[1].title
    assert ("about 1 min", "AWS - Consola") == (
        notebooks[1].facts["Takes"],
        notebooks[1].facts["Guide"],
    )


def test_its_imports_are_known_before_it_runs(notebooks):
    assert ["json", "runbook_lib", "runbook_lib.aws", "runbook_lib.swarm"] == notebooks[0].imports


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"only": []}, ["00", "01", "02"]),
        ({"only": ["91"]}, ["91"]),
        ({"only": ["02_x", "00"]}, ["02", "00"]),
        ({"only": [], "first": "01"}, ["01", "02"]),
        ({"only": [], "last": "01"}, ["00", "01"]),
        ({"only": [], "first": "10"}, ["10", "11"]),
        ({"only": [], "first": "02", "last": "10"}, ["02", "10"]),
        ({"only": [], "usual": ["00-01", "11"]}, ["00", "01", "11"]),
        ({"only": [], "usual": ["00-01", "11"], "first": "01"}, ["01", "11"]),
        ({"only": [], "usual": ["00-01", "11"], "last": "01"}, ["00", "01"]),
        ({"only": [], "usual": ["00-01", "11"], "first": "10"}, ["10", "11"]),
        ({"only": ["91"], "usual": ["00-01", "11"]}, ["91"]),
    ],
)
def test_a_run_is_about_named_ones_or_a_stretch(notebooks, asked, answer):
    assert answer == numbers(select_notebooks(notebooks, **asked))


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ({"first": "02", "last": "00"}, "--from 02 --to 00"),
        ({"first": "11", "last": "02"}, "--from 11 --to 02"),
        ({"usual": ["02-00"]}, "saw 02-00"),
        ({"usual": ["00-01", "11-10"]}, "saw 11-10"),
        ({"usual": ["00-01-02"]}, "saw 00-01-02"),
        ({"usual": ["02", "01"], "first": "01", "last": "02"}, "--from 01 --to 02"),
    ],
)
def test_a_range_that_runs_backwards_is_refused(notebooks, asked, seen):
    with pytest.raises(ParameterError, match=seen):
        select_notebooks(notebooks, only=[], **asked)


def test_numbers_that_are_not_there_are_all_named(notebooks):
    with pytest.raises(NotFoundError, match="notebooks 07, 08; there is none"):
        select_notebooks(notebooks, only=["07", "01", "08"])


def test_no_notebook_at_all_is_an_error():
    with pytest.raises(NotFoundError, match="there are: none"):
        select_notebooks([], only=[])


def test_the_heading_above_a_cell_is_the_last_outside_code_blocks():
    cells = [
        ("markdown", "# A\n## B\n```\n# c\n```"),
        ("code", "# d"),
        ("markdown", "words"),
        ("code", ""),
    ]
    assert "B" == heading_above(cells, 3)
    assert "the beginning" == heading_above(cells, 0)


def test_the_map_is_written_between_its_markers_once(notebooks, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("top\n<!-- map -->\nold\n<!-- /map -->\nbottom\n")
    assert write_map(readme, notebooks)
    assert not write_map(readme, notebooks)
    text = readme.read_text()
    assert text.startswith("top\n<!-- map -->\n| notebook |")
    assert text.endswith("<!-- /map -->\nbottom\n")
    assert "old" not in text


def test_a_page_without_markers_is_left_alone(notebooks, tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("nothing here")
    with pytest.raises(NotFoundError, match="for the map between"):
        write_map(readme, notebooks)
    assert "nothing here" == readme.read_text()
