"""
What a run leaves behind: folder, record, lock, and what there is to resume.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runbook_lib.core.errors import AccessError, ConflictError, NotFoundError
from runbook_lib.core.project import new_folder
from runbook_lib.runner.record import FAILED, PASSED, Page, Run, get_unfinished, lock

HOLD = """
import sys, time
from pathlib import Path
from runbook_lib.runner.record import lock
with lock(Path(sys.argv[1]), "geo-diff"):
    print("held", flush=True)
    time.sleep(60)
"""


def run(runs: Path, *verdicts: str) -> Run:
    pages = [Page(f"0{i}_x", "X", verdict) for i, verdict in enumerate(verdicts)]
    record = Run(new_folder(runs), "params/lab.yml", ["batch=3"], {"batch": 3}, pages)
    record.write()
    return record


def test_two_runs_of_one_second_have_two_folders(tmp_path):
    assert 3 == len({new_folder(tmp_path) for _ in range(3)})


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(AccessError, match="cannot write into"):
        new_folder(tmp_path / "runs")


def test_the_record_is_plain_json_with_versions_and_seconds(tmp_path):
    record = run(tmp_path, PASSED)
    saved = json.loads((record.folder / "run.json").read_text())
    assert ("running", {"batch": 3}, "00_x") == (
        saved["verdict"],
        saved["parameters"],
        saved["pages"][0]["name"],
    )
    assert {"python", "papermill", "boto3"} <= set(saved["versions"])
    assert ["run.json"] == [path.name for path in record.folder.iterdir()]


def test_a_run_is_resumed_at_its_first_notebook_that_did_not_pass(tmp_path):
    run(tmp_path, PASSED, FAILED, "")
    assert (["01_x", "02_x"], ["batch=3"]) == get_unfinished(tmp_path, Path("params/lab.yml"))


def test_only_the_last_run_of_these_parameters_counts(tmp_path):
    run(tmp_path, PASSED, FAILED)
    run(tmp_path, PASSED, PASSED)
    for file in ("params/lab.yml", "params/aws.yml"):
        with pytest.raises(NotFoundError, match="runbook run"):
            get_unfinished(tmp_path, Path(file))


def test_a_second_run_on_the_same_cluster_is_refused_and_the_first_named(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE
    ) as holder:
        assert b"held\n" == holder.stdout.readline()
        with (
            pytest.raises(ConflictError, match=f"pid {holder.pid}, since"),
            lock(tmp_path, "geo-diff"),
        ):
            pass
        with lock(tmp_path, "another"):
            pass
        holder.kill()
    with lock(tmp_path, "geo-diff"):  # a killed run leaves no lock
        pass


@pytest.mark.parametrize(
    ("page", "line"),
    [
        (Page("a", "A"), "not run"),
        (Page("a", "A", PASSED, 1.26), "no changes, 0 of 0 checks passed, 1.3 s"),
        (
            Page("a", "A", FAILED, 2, changes=[{}], checks=[{"passed": True}, {"passed": False}]),
            "failed, 1 change, 1 of 2 checks passed, 2.0 s",
        ),
    ],
)
def test_a_page_tells_itself_in_one_line(page, line):
    assert line == page.tally
