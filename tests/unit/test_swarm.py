"""
The Swarm's nodes, as they describe themselves.
"""

from runbook_lib.swarm import address


def test_a_manager_that_reports_no_address_of_itself_is_found_in_its_status():
    node = {"Status": {"Addr": "0.0.0.0"}, "ManagerStatus": {"Addr": "172.31.0.4:2377"}}

    assert "172.31.0.4" == address(node)
