"""
How many tasks run, as far as anybody can know.
"""

from runbook_lib.stacks.running.specs import running
from tests.fakes.docker import Engine, Node, task


def manager(*tasks):
    """A manager of two nodes, one of them down; a task is its state and its node."""
    return Engine(
        nodes=[Node("a"), Node("b", state="down")],
        tasks=[task(state, node=node) for state, node in tasks],
    )


def test_a_task_that_is_on_its_way_out_runs_until_it_has_ended():
    assert 1 == running(manager(("running", "a"), ("shutdown", "a")), "dealer")


def test_what_a_node_that_is_down_last_said_does_not_count():
    assert 1 == running(manager(("running", "a"), ("running", "b")), "dealer")
