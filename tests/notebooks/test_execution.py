"""
One notebook under papermill, in each way that it can go; the fixtures are named for their case.
"""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook_lib import interrupts
from runbook_lib.execution import Execution, execute
from runbook_lib.interrupts import Stopper
from runbook_lib.kernels import Kernels, kernels
from runbook_lib.notebooks import Cell, Notebook, find_notebooks
from runbook_lib.runs import FAILED, INTERRUPTED, PASSED

FIXTURES = Path(__file__).parent / "fixtures"
VALUES = {"cluster": "lab", "count": 2}


@pytest.fixture
def pool() -> Iterator[Kernels]:
    with kernels() as made:
        yield made


@pytest.fixture
def go(pool, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(case: str, *, stop: str = "") -> Execution:
        source = tmp_path / f"01_{case}.ipynb"
        source.write_bytes((FIXTURES / f"{case}.ipynb").read_bytes())
        (notebook,) = find_notebooks(tmp_path)
        pool.warm_up(notebook)
        kernel = pool.take(notebook)
        stopper = Stopper(kernel, 600)
        if stop:
            threading.Thread(target=stop_when_started, args=(stopper, stop), daemon=True).start()
        output = tmp_path / "out.ipynb"
        return execute(source, output, VALUES, kernel, stopper, on_cell=lambda _: None)

    return run


def stop_when_started(stopper: Stopper, reason: str) -> None:
    while not Path("started").exists():
        time.sleep(0.05)
    stopper.stop(reason)


def errors_saved(tmp_path: Path) -> list[str]:
    cells = json.loads((tmp_path / "out.ipynb").read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [output["ename"] for output in outputs if output["output_type"] == "error"]


def test_a_good_notebook_passes_with_its_values_and_its_ledger(go):
    execution = go("good")
    assert (PASSED, "") == (execution.verdict, execution.error)
    assert [{"what": "sum", "name": "one", "action": "added 2"}] == execution.ledger["changes"]
    assert ["at least one"] == [check["name"] for check in execution.ledger["checks"]]


def test_a_failed_check_tells_its_cell_its_words_and_what_was_changed_before(go, tmp_path):
    execution = go("broken")
    assert (FAILED, "Compare") == (execution.verdict, execution.cell)
    assert "CheckFailedError: all answer: expected 6, saw 4\n  next: look again" == execution.error
    assert ["made"] == [change["action"] for change in execution.ledger["changes"]]
    assert [False] == [check["passed"] for check in execution.ledger["checks"]]
    assert ["CheckFailedError"] == errors_saved(tmp_path)


def test_another_error_comes_with_its_lines_and_without_colours(go):
    execution = go("raises")
    assert "ZeroDivisionError: division by zero" == execution.error.splitlines()[0]
    assert execution.error.splitlines()[1].endswith("half(count)")
    assert execution.error.splitlines()[2].endswith("return n / 0")
    assert "\x1b" not in execution.error


def test_leaving_early_is_no_success(go):
    execution = go("exits")
    assert (FAILED, "Leave") == (execution.verdict, execution.cell)
    assert "SystemExit: the notebook was left before its end" == execution.error


def test_the_death_of_a_kernel_is_a_failure_that_is_written_down(go, tmp_path):
    execution = go("dies")
    assert (FAILED, "Die") == (execution.verdict, execution.cell)
    assert "DeadKernelError: Kernel died" == execution.error
    assert ["DeadKernelError"] == errors_saved(tmp_path)


def test_a_notebook_that_hangs_is_stopped_and_says_where(go, tmp_path):
    execution = go("hangs", stop="not finished within 4 s")
    assert (FAILED, "Wait") == (execution.verdict, execution.cell)
    assert "not finished within 4 s" == execution.error.splitlines()[0]
    assert execution.error.endswith("time.sleep(600)")
    assert ["KeyboardInterrupt"] == errors_saved(tmp_path)


def test_a_kernel_that_ignores_the_interrupt_is_killed(go, tmp_path, monkeypatch):
    monkeypatch.setattr(interrupts, "GRACE_S", 0.3)
    execution = go("stubborn", stop="not finished within 4 s")
    assert (FAILED, "not finished within 4 s") == (execution.verdict, execution.error)
    assert ["DeadKernelError"] == errors_saved(tmp_path)


def test_an_interrupt_saves_what_there_is(go, tmp_path):
    execution = go("hangs", stop=INTERRUPTED)
    assert (INTERRUPTED, "Wait") == (execution.verdict, execution.cell)
    assert ["KeyboardInterrupt"] == errors_saved(tmp_path)


def test_nothing_runs_in_a_waiting_kernel_but_imports(pool):
    cell = Cell("code", "from runbook_lib import checks, wait\n\nchecks.summary()", ())
    notebook = Notebook(Path("00_x.ipynb"), (cell,))
    pool.warm_up(notebook)
    client = pool.take(notebook).manager.blocking_client()
    client.start_channels()
    asked = {
        "names": "sorted(n for n in globals() if not n.startswith('_'))",
        "history": "In",
        "warm": "'runbook_lib.wait' in __import__('sys').modules",
    }
    client.execute("", silent=True, user_expressions=asked)
    reply = client.get_shell_msg(timeout=60)["content"]["user_expressions"]
    client.stop_channels()
    answers = {name: answer["data"]["text/plain"] for name, answer in reply.items()}
    assert {
        "names": "['In', 'Out', 'exit', 'get_ipython', 'open', 'quit']",
        "history": "['']",
        "warm": "True",
    } == answers
