"""
The registry, without which nothing that was built reaches a node.
"""

import pytest

from runbook_lib.core.errors import NotFoundError
from runbook_lib.stacks.images import check_registry
from tests.fakes.docker import Engine, Service, task


def manager(**states):
    return Engine(
        services=[Service(name) for name in states],
        tasks=lambda filters: [task(states[filters["service"]])],
    )


def test_a_registry_that_runs_is_fine():
    check_registry(manager(registry_registry="running"), "10.0.0.4:5001")


def test_without_one_the_notebook_that_deploys_it_is_named():
    """Docker's filter takes a part of a name for the name."""
    with pytest.raises(NotFoundError, match=r"(?s)10.0.0.4:5001.*no such stack.*06_work_stack"):
        check_registry(manager(my_registry_registry="running"), "10.0.0.4:5001")


def test_one_that_does_not_start_is_reported_with_its_tasks():
    with pytest.raises(NotFoundError, match="its tasks: preparing"):
        check_registry(manager(registry_registry="preparing"), "10.0.0.4:5001")
