"""
11_load_analysis and 12_what_the_machines_did headless, on the authors' logs and on a sweep whose
truth is known.
"""

import json
import re
from pathlib import Path

import nbformat
import papermill
import pytest
import yaml
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from runbook_lib.core.project import NOTEBOOKS, PROJECT
from tests.fakes.sweep import write_sweep

pytestmark = pytest.mark.slow

PAGES = ["11_load_analysis", "12_what_the_machines_did"]
LOGS = PROJECT / "tests" / "data" / "geo-diff-logs"


@pytest.fixture
def analyse(tmp_path, monkeypatch):
    """
    Execute both notebooks; the texts of their outputs, and the folder of the run.

    One kernel for both: a second one would import everything again.
    """
    monkeypatch.setenv("RUNBOOK_RUN_FOLDER", str(tmp_path))

    def go(folder: Path, **values: object) -> tuple[str, Path]:
        pages = [load_notebook_node(str(NOTEBOOKS / f"{name}.ipynb")) for name in PAGES]
        given = {"recording": str(folder), **values}
        pages = [parameterize_notebook(page, given) for page in pages]
        both, *others = pages
        both.cells += [cell for page in others for cell in page.cells]
        source, output = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
        nbformat.write(both, source)
        papermill.execute_notebook(str(source), str(output), progress_bar=False, cwd=PROJECT)
        return texts(output), tmp_path

    return go


def texts(path: Path) -> str:
    """What a reader reads in the outputs, tags and all."""
    cells = json.loads(path.read_text())["cells"]
    data = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    return "\n".join("".join(d.get(kind, "")) for d in data for kind in ("text/html", "text/plain"))


def test_a_known_law_gives_its_number_of_workers_and_a_file(analyse, tmp_path):
    """Six are the fewest within 5 % of the best of eight; the notebook does not know that."""
    text, folder = analyse(write_sweep(tmp_path / "load"), tiles_to_do=50_000)
    assert "Use 6 workers" in text
    assert "4 of 4 are predicted correctly" in text
    assert "decisions of its own: the sweep held the replicas" in text
    assert "Fresh t2.micro instances: full speed for" in text
    assert "1 to 8 wanted in 8 steps, all seen" in text
    assert "min_scale: the trials know no CPU credits" in text
    written = yaml.safe_load((folder / "recommended.yml").read_text())
    assert 6 == written["max_scale"]
    assert f"{folder}/recommended.yml --only 06" in text


def test_the_published_third_experiment_is_analysed_as_far_as_it_goes(analyse):
    """One number of workers: no fit, no file; totals and decisions are those of the logs."""
    text, folder = analyse(LOGS / "experiment_3")
    assert "This recording cannot tell how many workers to use: it has only 12" in text
    assert "100.0% of 2146 recorded decisions are the policy" in text
    assert re.search(r"worker sent \(GB\)</td><td[^>]*>18\.32<", text)
    assert re.search(r"updater received \(GB\)</td><td[^>]*>22\.9<", text)
    assert "21% came from others" in text
    assert "the CPU and traffic of the others are missing" in text
    assert "stopping empty nodes would save 0 node-hours" in text
    assert "No node reads more CPU than its machine has" in text
    assert not (folder / "recommended.yml").exists()
