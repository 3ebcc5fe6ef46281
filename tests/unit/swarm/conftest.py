"""
Waits of the tests of `swarm`.
"""

import pytest

from runbook_lib.core import wait


@pytest.fixture(autouse=True)
def without_sleep(monkeypatch):
    """The fakes change at once: the next look is the next one."""
    monkeypatch.setattr(wait.time, "sleep", lambda _: None)
