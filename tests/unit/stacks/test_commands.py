"""
What is known of a stack without a notebook.
"""

import pytest

from runbook_lib.core.errors import ParameterError
from runbook_lib.stacks.commands import read_values
from tests.places import ROOT

NOTEBOOKS = ROOT / "notebooks"


def test_a_command_has_the_values_that_a_run_of_the_file_has(tmp_path):
    file = tmp_path / "mine.yml"
    file.write_text('region: eu-west-1\nnotebooks: ["00-06"]\n')
    values = read_values(file, ["stack_name=board"], NOTEBOOKS)
    expected = ("eu-west-1", "board", "geo-diff")
    assert expected == tuple(values[name] for name in ("region", "stack_name", "cluster"))


def test_a_wrong_value_is_refused_as_by_a_run(tmp_path):
    (tmp_path / "mine.yml").write_text("regoin: eu-west-1\n")
    with pytest.raises(ParameterError, match="did you mean region"):
        read_values(tmp_path / "mine.yml", [], NOTEBOOKS)
