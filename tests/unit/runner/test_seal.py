"""
`runbook verify`: what speaks against a run, by one change to it at a time.
"""

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbook_lib.core.errors import IntegrityError, NotFoundError
from runbook_lib.runner.history import runs_text
from runbook_lib.runner.record import FAILED, PASSED, Page, Run, digest, seal_of
from runbook_lib.runner.seal import verify


def code(source, count, *tags):
    cell = {"cell_type": "code", "id": source[:1], "source": source, "outputs": []}
    return {**cell, "execution_count": count, "metadata": {"tags": [*tags]}}


def save(path, *cells):
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}))


@pytest.fixture
def run(tmp_path):
    """
    A clean run of two notebooks, and the folder of their templates.
    """
    folder, notebooks = tmp_path / "run", tmp_path / "notebooks"
    folder.mkdir()
    notebooks.mkdir()
    pages = []
    for i, name in enumerate(("01_x", "02_y")):
        save(notebooks / f"{name}.ipynb", code("count = 1", None, "parameters"), code("go()", None))
        cells = [code("count = 1", 1, "parameters"), code("# Parameters\ncount = 3", 2)]
        cells[1]["metadata"]["tags"] = ["injected-parameters"]
        save(folder / f"{name}.ipynb", *cells, code("go()", 3))
        template = digest(notebooks / f"{name}.ipynb")
        pages.append(Page(name, "X", PASSED, 5.0, started=1000.0 + 10 * i, template=template))
    (folder / "report.html").write_text("report")
    record = Run(folder, "lab.yml", [], {"count": 3}, pages, verdict=PASSED)
    record.close()
    return record, notebooks


def against(run):
    record, notebooks = run
    proof = verify(record.folder, notebooks)
    assert proof.holds == (not any(proof.statements.values()))
    return [reason for reasons in proof.statements.values() for reason in reasons]


def test_nothing_speaks_against_a_clean_run(run):
    assert [] == against(run)


def edited(run, name, change, *, again=True):
    """Change a notebook of the run, and seal it again as who wants to deceive would."""
    path = run[0].folder / f"{name}.ipynb"
    notebook = json.loads(path.read_text())
    change(notebook["cells"])
    path.write_text(json.dumps(notebook))
    if again:
        run[0].close()


def test_a_page_changed_after_the_run_is_told(run):
    edited(run, "02_y", lambda cells: cells[2].update(source="other()"), again=False)
    assert ["02_y.ipynb was changed, or never sealed", "02_y: cell 2 is another"] == against(run)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c[2].update(source="other()"), "02_y: cell 2 is another"),
        (lambda c: c.append(code("more()", 4)), "02_y: it has 3 cells, expected 2"),
        (lambda c: c[2].update(execution_count=7), "02_y: its cells ran as [1, 2, 7]"),
        (lambda c: c[2].update(execution_count=None), "02_y: its cells ran as [1, 2, None]"),
        (lambda c: c[1].update(source="count = 4"), "02_y: count is not the run's"),
        (
            lambda c: c[1].update(source="count = 3\nimport os"),
            "02_y: the cell of its parameters does more than set them",
        ),
        (
            lambda c: c[2].update(outputs=[{"output_type": "error", "ename": "E"}]),
            "02_y: a cell ended with E",
        ),
    ],
)
def test_what_is_no_clean_execution_is_told_though_it_was_sealed(run, change, reason):
    edited(run, "02_y", change)
    assert [reason] == against(run)


def test_notebooks_that_overlap_or_failed_are_told(run):
    run[0].pages[1].started = 1002.0
    run[0].pages[1].verdict = run[0].verdict = FAILED
    run[0].close()
    assert [
        "02_y: failed",
        "the run: failed",
        "02_y began before 01_x had ended",
    ] == against(run)


def test_a_template_that_was_changed_since_is_told(run):
    save(run[1] / "01_x.ipynb", code("other()", None))
    assert [
        "01_x: the notebook was changed since the run; check out the version that ran"
    ] == against(run)


def test_a_record_that_was_changed_is_told(run):
    path = run[0].folder / "run.json"
    path.write_text(path.read_text().replace('"count": 3', '"count": 3, "other": 4'))
    assert ["the record was changed, or never sealed"] == against(run)


def test_files_that_are_missing_or_came_later_are_told(run):
    (run[0].folder / "report.html").unlink()
    save(run[0].folder / "03_z.ipynb")
    assert ["03_z.ipynb is not of this run", "report.html is missing"] == against(run)


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"pages": 3}', '{"pages": []}', '{"pages": [{"name": "../../etc/passwd"}]}'],
)
def test_a_record_that_is_none_is_refused(run, text):
    (run[0].folder / "run.json").write_text(text)
    with pytest.raises(IntegrityError, match=r"run\.json"):
        verify(run[0].folder, run[1])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)


def places(node, path=()):
    """Every place in a JSON value, as keys and indexes."""
    yield path
    listed = node if isinstance(node, list) else ()
    pairs = node.items() if isinstance(node, dict) else enumerate(listed)
    for key, child in pairs:
        yield from places(child, (*path, key))


@pytest.mark.hostile
@given(st.data())
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_stands_in_a_record_or_a_page_is_words_and_no_trace(run, data):
    """One value of a good record, or of a good page, is another."""
    record, notebooks = run
    name = data.draw(st.sampled_from(["run.json", "01_x.ipynb"]))
    path = record.folder / name
    good = path.read_text()
    value = json.loads(good)
    *above, last = data.draw(st.sampled_from([p for p in places(value) if p]))
    node = value
    for key in above:
        node = node[key]
    node[last] = data.draw(json_values)
    path.write_text(json.dumps(value))
    try:
        with suppress(IntegrityError):
            assert isinstance(repr(verify(record.folder, notebooks)), str)
        assert "run " in runs_text(record.folder.parent, last=5)
    finally:
        path.write_text(good)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match="runbook runs"):
        verify(tmp_path, Path("notebooks"))


def test_the_seal_is_of_what_is_written(run):
    record = json.loads((run[0].folder / "run.json").read_text())
    assert record["seal"] == seal_of(record)
