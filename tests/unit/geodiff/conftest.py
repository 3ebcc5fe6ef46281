"""
A place where the programs of an instance run as they do there: as nobody, where they should.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture
def open_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """
    A folder that nobody can reach, which pytest's own are not, with the system's programs.
    """
    monkeypatch.setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
