"""
The quorum, counted.
"""

import pytest

from runbook_lib.swarm import Quorum, address


@pytest.mark.parametrize(
    ("managers", "needed", "tolerated"), [(1, 1, 0), (2, 2, 0), (3, 2, 1), (4, 3, 1), (5, 3, 2)]
)
def test_a_majority_is_needed_and_the_rest_may_fail(managers, needed, tolerated):
    assert (needed, tolerated) == (Quorum(managers).needed, Quorum(managers).tolerated)


def test_a_manager_that_reports_no_address_of_itself_is_found_in_its_status():
    node = {"Status": {"Addr": "0.0.0.0"}, "ManagerStatus": {"Addr": "172.31.0.4:2377"}}

    assert "172.31.0.4" == address(node)
