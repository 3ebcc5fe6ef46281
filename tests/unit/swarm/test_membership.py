"""
The Swarm's nodes, as they describe themselves.
"""

import pytest

from runbook_lib.core.errors import WaitTimeoutError
from runbook_lib.swarm.membership import wait_for_manager
from runbook_lib.swarm.nodes import address
from tests.fakes.docker import Engine, in_turn


def test_a_manager_that_reports_no_address_of_itself_is_found_in_its_status():
    node = {"Status": {"Addr": "0.0.0.0"}, "ManagerStatus": {"Addr": "172.31.0.4:2377"}}

    assert "172.31.0.4" == address(node)


def engine_of(*states):
    """An engine that is asked several times: its state, and whether it is a manager."""
    infos = [{"Swarm": {"LocalNodeState": s, "ControlAvailable": c}} for s, c in states]
    engine = Engine()
    engine.info = in_turn(*infos)
    return engine


def test_one_that_handed_the_lead_over_is_waited_for():
    """It is a worker for a moment, which is not to manage no Swarm."""
    engine = engine_of(("active", False), ("active", False), ("active", False), ("active", True))

    assert engine is wait_for_manager({"manager": engine})


def test_one_in_no_swarm_manages_none():
    assert wait_for_manager({"manager": engine_of(("inactive", False))}) is None
    assert wait_for_manager({}) is None


def test_one_that_stays_a_worker_is_an_error_and_not_none():
    with pytest.raises(WaitTimeoutError, match="it is a worker of a Swarm"):
        wait_for_manager({"manager": engine_of(("active", False))}, timeout_s=0)
