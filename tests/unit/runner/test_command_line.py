"""
The command line before and beside a run: interrupts, help, version.
"""

import os
import re
import subprocess
import sys

import pytest

from runbook_lib.__main__ import main
from runbook_lib.runner.arguments import EXAMPLES, parser
from tests.places import ROOT

INTERRUPTED = """
import os, runpy, signal, sys

class Person:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.{signal})

sys.meta_path.insert(0, Person())
sys.argv = ["runbook", "run", "params/lab.yml"]
runpy.run_module("runbook_lib", run_name="__main__", alter_sys=False)
"""


@pytest.mark.parametrize("signal", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    "module", ["argparse", "runbook_lib.runner.headless", "jupyter_client.manager"]
)
def test_an_interrupt_in_the_first_seconds_is_no_traceback(module, signal):
    """While modules are imported, the exception of Python's own handler is a trace, or lost."""
    program = INTERRUPTED.format(module=module, signal=signal)
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    ended = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert (130, "\ninterrupted\n", "") == (ended.returncode, ended.stderr, ended.stdout)


def test_the_version_is_the_packages(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_every_command_has_examples_that_it_can_read(capsys):
    whole = parser("", {})
    for name, text in EXAMPLES.items():
        with pytest.raises(SystemExit):
            whole.parse_args([*filter(None, [name]), "--help"])
        assert f"  {text.splitlines()[0]}\n" in capsys.readouterr().out
        for line in text.split("\n"):
            words = re.findall(r"'[^']*'|\S+", line.partition(" -- ")[0])[1:]
            whole.parse_args([word.strip("'") for word in words])


def test_a_secret_url_can_be_given_by_a_variable():
    options = parser("", {"RUNBOOK_TELL": "https://x/y"}).parse_args(["run", "params/lab.yml"])
    assert "https://x/y" == options.tell
