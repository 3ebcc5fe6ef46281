"""
One notebook under papermill, in each way that it can go; the fixtures are named for their case.
"""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runbook_lib.notebook.templates import Cell, Notebook
from runbook_lib.runner.execution import Execution, execute
from runbook_lib.runner.kernels import Kernel, Kernels, Stopper, kernels
from runbook_lib.runner.record import FAILED, INTERRUPTED, PASSED

FIXTURES = Path(__file__).parent / "fixtures"
VALUES = {"cluster": "lab", "count": 2}
SPARE = Notebook(
    Path("00_spare.ipynb"), (Cell("code", "from runbook_lib.core import checks, wait", ()),)
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("execution")


@pytest.fixture(scope="module")
def pool(folder) -> Iterator[Kernels]:
    """
    Always with a spare kernel, so that the tests do not wait for theirs.
    """
    with pytest.MonkeyPatch.context() as patch, kernels() as made:
        patch.chdir(folder)
        made.warm_up(SPARE)
        yield made


@pytest.fixture
def kernel(pool) -> Iterator[Kernel]:
    taken = pool.take(SPARE)
    pool.warm_up(SPARE)
    yield taken
    pool.release(taken)


@pytest.fixture
def go(kernel, folder):
    (folder / "started").unlink(missing_ok=True)

    def run(case: str, *, stop: str = "") -> Execution:
        stopper = Stopper(kernel, 600)
        if stop:
            threading.Thread(target=stop_when_started, args=(stopper, stop), daemon=True).start()
        source, output = FIXTURES / f"{case}.ipynb", folder / "out.ipynb"
        return execute(source, output, VALUES, kernel, stopper, on_cell=lambda *_: None)

    return run


def stop_when_started(stopper: Stopper, reason: str) -> None:
    while not Path("started").exists():
        time.sleep(0.05)
    stopper.stop(reason)


def errors_saved(folder: Path) -> list[str]:
    cells = json.loads((folder / "out.ipynb").read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [output["ename"] for output in outputs if output["output_type"] == "error"]


def test_a_good_notebook_passes_with_its_values_and_its_activity(go):
    execution = go("good")
    assert (PASSED, "") == (execution.verdict, execution.error)
    assert [{"what": "sum", "name": "one", "action": "added 2"}] == execution.activity["changes"]
    assert ["at least one"] == [check["name"] for check in execution.activity["checks"]]


def test_a_failed_check_tells_its_cell_its_words_and_what_was_changed_before(go, folder):
    execution = go("broken")
    assert (FAILED, "Compare") == (execution.verdict, execution.cell)
    assert "CheckFailedError: all answer: expected 6, saw 4\n  next: look again" == execution.error
    assert ["made"] == [change["action"] for change in execution.activity["changes"]]
    assert [False] == [check["passed"] for check in execution.activity["checks"]]
    assert ["CheckFailedError"] == errors_saved(folder)


def test_another_error_comes_with_its_lines_and_without_colours(go):
    execution = go("raises")
    assert "ZeroDivisionError: division by zero" == execution.error.splitlines()[0]
    assert execution.error.splitlines()[1].endswith("half(count)")
    assert execution.error.splitlines()[2].endswith("return n / 0")
    assert "\x1b" not in execution.error


def test_leaving_early_is_no_success(go):
    execution = go("exits")
    assert (FAILED, "Leave") == (execution.verdict, execution.cell)
    assert "SystemExit: the notebook ended before its last cell" == execution.error


def test_the_death_of_a_kernel_is_a_failure_that_is_written_down(go, folder):
    execution = go("dies")
    assert (FAILED, "Die") == (execution.verdict, execution.cell)
    assert "DeadKernelError: Kernel died" == execution.error
    assert ["DeadKernelError"] == errors_saved(folder)


def test_a_notebook_that_hangs_is_stopped_and_says_where(go, folder):
    execution = go("hangs", stop="timed out after 4 s")
    assert (FAILED, "Wait") == (execution.verdict, execution.cell)
    assert "timed out after 4 s" == execution.error.splitlines()[0]
    assert execution.error.endswith("time.sleep(600)")
    assert ["KeyboardInterrupt"] == errors_saved(folder)


def test_a_kernel_that_ignores_the_interrupt_is_killed(go, folder, monkeypatch):
    monkeypatch.setattr("runbook_lib.runner.kernels.GRACE_S", 0.3)
    execution = go("stubborn", stop="timed out after 4 s")
    assert (FAILED, "timed out after 4 s") == (execution.verdict, execution.error)
    assert ["DeadKernelError"] == errors_saved(folder)


def test_an_interrupt_saves_what_there_is(go, folder):
    execution = go("hangs", stop=INTERRUPTED)
    assert (INTERRUPTED, "Wait") == (execution.verdict, execution.cell)
    assert ["KeyboardInterrupt"] == errors_saved(folder)
    saved = (folder / "out.ipynb").read_text()
    assert execution.error.splitlines()[0] in saved
    assert "Traceback" not in saved
    assert "site-packages" not in saved


def test_nothing_runs_in_a_waiting_kernel_but_imports(kernel):
    client = kernel.manager.blocking_client()
    client.start_channels()
    asked = {
        "names": "sorted(n for n in globals() if not n.startswith('_'))",
        "history": "In",
        "warm": "'runbook_lib.core.wait' in __import__('sys').modules",
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
