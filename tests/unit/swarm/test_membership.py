"""
The Swarm's nodes, as they describe themselves.
"""

import pytest

from runbook_lib.core.errors import WaitTimeoutError
from runbook_lib.swarm.membership import address, wait_for_manager


def test_a_manager_that_reports_no_address_of_itself_is_found_in_its_status():
    node = {"Status": {"Addr": "0.0.0.0"}, "ManagerStatus": {"Addr": "172.31.0.4:2377"}}

    assert "172.31.0.4" == address(node)


class Engine:
    """One that tells of itself, look by look."""

    def __init__(self, *told):
        self._told = list(told)

    def info(self):
        state, manages = self._told.pop(0) if len(self._told) > 1 else self._told[0]
        return {"Swarm": {"LocalNodeState": state, "ControlAvailable": manages}}


def test_one_that_handed_the_lead_over_is_waited_for():
    """It is a worker for a moment, which is not to manage no Swarm."""
    engine = Engine(("active", False), ("active", False), ("active", False), ("active", True))

    assert engine is wait_for_manager({"manager": engine})


def test_one_in_no_swarm_manages_none():
    assert wait_for_manager({"manager": Engine(("inactive", False))}) is None
    assert wait_for_manager({}) is None


def test_one_that_stays_a_worker_is_an_error_and_not_none():
    with pytest.raises(WaitTimeoutError, match="it is a worker of a Swarm"):
        wait_for_manager({"manager": Engine(("active", False))}, timeout_s=0)
