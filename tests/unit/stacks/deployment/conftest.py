"""
Stack files to deploy.
"""

import pytest

from runbook_lib.stacks.compose import reading


@pytest.fixture
def write(tmp_path):
    """A stack file with others beside it, read."""

    def _write(text, **beside):
        path = tmp_path / "stack.yml"
        path.write_text(text)
        for name, content in beside.items():
            (tmp_path / name.replace("_", ".")).write_text(content)
        return reading.read(path)

    return _write
