"""
`runbook runs`: verdicts, durations, and checks that changed from run to run.
"""

import json

import pytest

from runbook_lib.core.errors import NotFoundError
from runbook_lib.runner.history import runs_text
from runbook_lib.runner.record import FAILED, PASSED, Page, Run


def add(runs, name, seconds, *checks, verdict=PASSED):
    folder = runs / name
    folder.mkdir(parents=True)
    found = [{"name": n, "expected": "", "actual": a, "passed": p} for n, a, p in checks]
    page = Page("06_x", "Work", verdict, seconds, checks=found)
    Run(folder, "params/lab.yml", [], {}, [page], seconds=seconds, verdict=verdict).close()


def test_it_lists_the_runs_with_the_trends_of_time_and_checks(tmp_path):
    add(tmp_path, "1", 100.0, ("USD an hour", "0.1", True), ("nodes", "6", True))
    add(tmp_path, "2", 150.0, ("USD an hour", "0.3", True), ("nodes", "6", True))
    add(tmp_path, "3", 300.0, ("USD an hour", "0.2", True), ("nodes", "4", False), verdict=FAILED)
    lines = runs_text(tmp_path, last=10).splitlines()
    assert "1    passed   06         2 of 2  0.0 s  lab.yml" == lines[1]
    assert "3    failed   06         1 of 2  0.0 s  lab.yml" == lines[3]
    assert "06_x      ▁█       1 min 40 s  2 min 30 s" in lines
    assert "06  USD an hour: ▁█▅  0.1 → 0.2" in lines
    assert "06  nodes: 6 → 4 (failed)" in lines


def test_only_the_last_are_read_and_a_broken_record_is_told(tmp_path):
    add(tmp_path, "1", 1.0)
    for name, text in (("2", "{"), ("3", "[]"), ("4", json.dumps({"verdict": "passed"}))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(text)
    text = runs_text(tmp_path, last=3)
    assert (3, False) == (text.count("unreadable"), "lab.yml" in text)


def test_no_run_is_an_error_with_the_next_step(tmp_path):
    with pytest.raises(NotFoundError, match="--runs DIR"):
        runs_text(tmp_path, last=10)
