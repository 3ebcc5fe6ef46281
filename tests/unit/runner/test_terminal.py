"""
Lines for a terminal, and how long a cell still takes.
"""

import json
import time

import pytest

from runbook_lib.runner import cell_lines, terminal
from runbook_lib.runner.cell_lines import CellLines, earlier_seconds
from runbook_lib.runner.record import PASSED, Page, Run


@pytest.fixture
def screen(monkeypatch):
    """
    A terminal of forty columns.
    """
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_colour_is_for_terminals_that_want_it(screen, monkeypatch):
    assert "\x1b[31mx\x1b[0m" == terminal.coloured("x", "failed")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "x" == terminal.coloured("x", "failed")
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert "x" == terminal.coloured("x", "failed")


def test_a_pipe_gets_no_colour_and_whole_lines():
    assert "x" == terminal.coloured("x", "failed")
    assert "y" * 300 in terminal.aligned(["a", "b"], [["x", "y" * 300]])


def test_a_table_fits_the_terminal(screen):
    lines = terminal.aligned(["name", "what", "takes"], [["01_x", "z" * 80, "1 min"]]).splitlines()
    assert ["name", "01_x"] == [line.split()[0] for line in lines]
    assert lines[1].endswith("…  1 min")
    assert {40} == {len(line) for line in lines}


def test_control_characters_do_not_reach_a_terminal():
    assert "\\x1b[2Jx" == terminal.fit("\x1b[2Jx", 80)


def test_a_long_cell_says_in_a_log_what_it_does_and_what_is_left(monkeypatch, capsys):
    monkeypatch.setattr(cell_lines, "LOG_EVERY_S", 0.1)
    bar = "<p>results: <progress value=30 max=90></progress> 30 of 90 <small>9 s</small></p>"
    cell = {"outputs": [{"data": {"text/html": bar}}]}
    with CellLines() as lines:
        lines.begin("Wait", 0, cell)
        time.sleep(0.35)
    text = capsys.readouterr().out
    assert text.startswith("   Wait")
    assert "about 1 s left, results:  30 of 90 9 s" in text
    assert text.endswith(" s\n")


def test_without_a_bar_the_last_run_tells_how_long_it_takes(monkeypatch, capsys):
    monkeypatch.setattr(cell_lines, "LOG_EVERY_S", 0.1)
    with CellLines([0.0, 130.0]) as lines:
        lines.begin("Build", 1, {})
        time.sleep(0.35)
    assert "about 2 min 10 s left" in capsys.readouterr().out


def test_the_seconds_are_those_of_the_last_run_that_passed(tmp_path):
    assert [] == earlier_seconds(tmp_path, "01_x")
    for name, verdict, seconds in (("1", PASSED, 5.0), ("2", PASSED, 7.0), ("3", "failed", 1.0)):
        folder = tmp_path / name
        folder.mkdir()
        Run(folder, "p.yml", [], {}, [Page("01_x", "X", verdict)], verdict=verdict).close()
        cells = [{"metadata": {"papermill": {"duration": seconds}}}]
        (folder / "01_x.ipynb").write_text(json.dumps({"cells": cells}))
    assert [7.0] == earlier_seconds(tmp_path, "01_x")
