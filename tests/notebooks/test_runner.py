"""
The command line over fixture notebooks: one success, one failure, a secret, an interrupt.
"""

import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import papermill
import pytest

from runbook_lib.__main__ import main
from runbook_lib.runner import cell_lines

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """
    A folder with `notebooks/` of the named cases, and a parameter file.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.yml").write_text("cluster: lab\ncount: 2\n")
    (tmp_path / "notebooks").mkdir()

    def add(**cases: str) -> Path:
        for number, case in cases.items():
            target = tmp_path / "notebooks" / f"{number.removeprefix('n')}_{case}.ipynb"
            target.write_bytes((FIXTURES / f"{case}.ipynb").read_bytes())
        return tmp_path

    return add


def last_run(folder: Path) -> tuple[dict, Path]:
    record = sorted(folder.glob("runs/*/run.json"))[-1]
    return json.loads(record.read_text()), record.parent


def test_a_run_stops_at_the_first_failure_and_says_how_to_go_on(checkout, capsys):
    folder = checkout(n00="good", n01="quiet", n02="broken", n03="good", n90="quiet")
    options = ["--runs", "runs", "--timeout", "600", "--tell", "tee told.json"]
    assert 1 == main(["run", "lab.yml", "-p", "count=3", *options])

    record, run = last_run(folder)
    assert ["passed", "passed", "failed", ""] == [page["verdict"] for page in record["pages"]]
    assert {"00_good.ipynb", "01_quiet.ipynb", "02_broken.ipynb", "report.html", "run.json"} == {
        path.name for path in run.iterdir()
    }
    said = capsys.readouterr()
    assert re.search(r"^00_good +1 change, 1 of 1 checks passed, \d+\.\d s$", said.out, re.M)
    assert re.search(r"^01_quiet +no changes, ", said.out, re.M)
    assert "the sum:\n  1 + 3\n" in said.out[said.out.index("report: ") :]
    assert re.search(r"^   Compare +\d+\.\d s$", said.out, re.M)
    assert "\x1b" not in said.out + said.err
    assert [
        "the run failed in 02_broken, under “Compare”",
        "  CheckFailedError: all answer: expected 6, saw 4",
        "    next: look again",
        "  next: python -m runbook_lib run lab.yml --from 02 -p count=3 --timeout 600 "
        "--tell 'tee told.json'",
    ] == said.err.strip().splitlines()
    told = json.loads((folder / "told.json").read_text())
    assert ("failed", "02_broken", record["seal"]) == (
        *(told["verdict"], told["failed_in"]),
        told["seal"],
    )
    assert record["resume"] in (run / "report.html").read_text().replace("&#39;", "'")

    (folder / "notebooks" / "02_broken.ipynb").write_bytes((FIXTURES / "quiet.ipynb").read_bytes())
    assert 0 == main(["run", "lab.yml", "--resume"])
    record, _ = last_run(folder)
    assert ["02_broken", "03_good"] == [page["name"] for page in record["pages"]]
    assert {"cluster": "lab", "count": 3} == record["parameters"]


def test_a_url_that_is_told_stands_in_no_file_and_no_output(checkout, capsys):
    """It may itself be a secret; the command that goes on is told without it."""
    folder = checkout(n00="broken")
    assert 1 == main(["run", "lab.yml", "--runs", "runs", "--tell", "http://127.0.0.1:1/hook-4711"])
    said = capsys.readouterr()
    files = [path for path in folder.rglob("*") if path.is_file()]

    assert "nobody was told of it: ConnectionError" in said.out
    assert "hook-4711" not in said.out + said.err
    assert [] == [path for path in files if b"hook-4711" in path.read_bytes()]


def test_a_secret_in_an_output_fails_the_run_and_stays_nowhere(checkout, capfd):
    folder = checkout(n00="leaks")
    assert 1 == main(["run", "lab.yml"])
    assert "a Swarm join token, under “Join”" in capfd.readouterr().err
    for path in last_run(folder)[1].iterdir():
        assert "SWMTKN-1-333" not in path.read_text()


def test_an_interrupted_run_keeps_its_pages_and_exits_130(checkout, capsys):
    folder = checkout(n00="hangs", n01="good")

    def terminate() -> None:
        while not (folder / "started").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=terminate, daemon=True).start()
    assert 130 == main(["run", "lab.yml"])
    error = capsys.readouterr().err
    assert "the run was interrupted in 00_hangs, under “Wait”" in error
    assert "run lab.yml --from 00" in error
    record, run = last_run(folder)
    assert ["interrupted", ""] == [page["verdict"] for page in record["pages"]]
    assert "KeyboardInterrupt" in (run / "00_hangs.ipynb").read_text()
    assert (run / "report.html").exists()


def test_a_long_cell_says_meanwhile_what_its_line_of_progress_says(checkout, capsys, monkeypatch):
    """A log has a line each minute; here, each half second."""
    monkeypatch.setattr(cell_lines, "LOG_EVERY_S", 0.5)
    checkout(n00="takes_time")
    assert 0 == main(["run", "lab.yml"])
    assert re.search(
        r"^ +\d.\d s, about \d s left, results: +\d of 8", capsys.readouterr().out, re.M
    )


def test_all_wrong_parameters_are_reported_before_anything_is_made(checkout, capsys):
    folder = checkout(n00="good")
    (folder / "lab.yml").write_text("cluster: 5\ncoutn: 2\n")
    assert 1 == main(["run", "lab.yml", "-p", "count=99"])
    said = capsys.readouterr().err
    assert "lab.yml:1: cluster is 5" in said
    assert "lab.yml:2: no notebook declares coutn; did you mean count?" in said
    assert "-p count=99: count is 99, expected int 1..9" in said
    assert not (folder / "runs").exists()


def test_prepared_copies_carry_the_values_and_are_not_executed(checkout, capsys):
    folder = checkout(n00="good", n90="quiet")
    assert 0 == main(["prepare", "lab.yml"])
    prepared = Path(capsys.readouterr().out.strip())
    assert prepared.name.endswith("-walkthrough")
    assert ["00_good.ipynb", "90_quiet.ipynb"] == sorted(p.name for p in prepared.iterdir())
    cells = json.loads((folder / prepared / "00_good.ipynb").read_text())["cells"]
    (injected,) = [c for c in cells if "injected-parameters" in c["metadata"].get("tags", [])]
    assert "count = 2" in "".join(injected["source"])
    assert [] == [c for c in cells if c.get("outputs")]


def test_the_list_is_an_aligned_table_of_every_notebook_and_the_map_is_markdown(checkout, capsys):
    folder = checkout(n00="good", n90="quiet")
    assert 0 == main(["list"])
    assert [
        "notebook  what is true after it  takes",
        "00_good   Add up                 about 1 s",
        "90_quiet  Change nothing         about 1 s",
    ] == capsys.readouterr().out.splitlines()
    (folder / "page.md").write_text("<!-- map -->\n<!-- /map -->\n")
    assert 0 == main(["map", "--write", "page.md"])
    row = "| [00_good](notebooks/00_good.ipynb) | Add up | A section | about 1 s |"
    assert row in (folder / "page.md").read_text()


def test_plain_papermill_runs_a_notebook_with_the_same_file(checkout):
    folder = checkout(n00="good")
    papermill.execute_notebook(
        "notebooks/00_good.ipynb", "out.ipynb", parameters={"count": 4}, progress_bar=False
    )
    assert "added 4" in (folder / "out.ipynb").read_text()
