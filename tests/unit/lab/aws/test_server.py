"""
One server a lab: the lock is held by a process, not by a file that a killed one leaves.
"""

import os
import subprocess
import sys

import pytest

from lab.aws.server import only_server
from lab.core.errors import LabError


@pytest.mark.parametrize("text", ["", "12", "{}", str(2**22 + 1), "own pid"])
def test_a_pid_that_a_killed_server_left_is_not_believed(tmp_path, text):
    """Broken, of a dead process, or of a pid that belongs to another process now."""
    path = tmp_path / "lab" / "lab.lock"
    path.parent.mkdir()
    path.write_text(str(os.getpid()) if text == "own pid" else text)
    with only_server(path):
        assert f"{os.getpid()}\n" == path.read_text()


def test_a_killed_server_leaves_its_lab_free(tmp_path):
    """It leaves the file with its pid, and no lock."""
    path = tmp_path / "lab.lock"
    code = f"from lab.aws.server import only_server; from pathlib import Path; import os\n\
with only_server(Path({str(path)!r})): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], check=False)
    assert path.read_text().strip().isdecimal()
    with only_server(path):
        pass


def test_a_living_owner_is_not_displaced(tmp_path):
    """The error names it; afterwards the lab can be served again."""
    path = tmp_path / "lab.lock"
    with only_server(path), pytest.raises(LabError, match=str(os.getpid())), only_server(path):
        pytest.fail("two servers")
    with only_server(path):
        pass
