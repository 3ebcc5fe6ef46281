"""
A cell shows a line for each operation that took its time, and one line for those that did not.
"""

import nbclient
import nbformat
import pytest

SHORT = 'with Progress("a"): pass\nwith Progress("b"): pass\n'
SLOW = 'with Progress("slow"): time.sleep(1.05)\n'
FAILED = "try:\n    with Progress('failed'): 1 / 0\nexcept ZeroDivisionError: pass\n"


def lines(*sources):
    """What JupyterLab would show: the outputs of a real kernel after the last update of each."""
    page = nbformat.v4.new_notebook()
    start = "import time\nfrom runbook_lib.core.progress import Progress"
    page.cells = [nbformat.v4.new_code_cell(source) for source in (start, *sources)]
    nbclient.NotebookClient(page, kernel_name="python3", timeout=60).execute()
    shown = [[o["data"]["text/html"] for o in cell.outputs] for cell in page.cells[1:]]
    return [[line.removeprefix("<p>").partition(":")[0] for line in cell] for cell in shown]


@pytest.fixture(scope="module")
def shown():
    return lines(SHORT, SHORT, SHORT + SLOW + SHORT, FAILED + SHORT)


def test_short_operations_of_a_cell_share_a_line(shown):
    assert [["b"], ["b"]] == shown[:2]


def test_a_slow_operation_keeps_its_line(shown):
    assert ["slow", "b"] == shown[2]


def test_what_failed_keeps_its_line(shown):
    assert ["failed", "b"] == shown[3]
