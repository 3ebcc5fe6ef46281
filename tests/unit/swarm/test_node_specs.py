"""
A node that was written since it was read is read again; another refusal is not swallowed.
"""

import pytest
from docker.errors import APIError

from runbook_lib.swarm.node_specs import change_spec


class Node:
    """A node whose `version` is the Swarm's; `held` is the one that was read."""

    def __init__(self, held=1, version=1):
        self.held, self.version, self.attrs = held, version, {"Spec": {"Role": "worker"}}
        self.written = []

    def reload(self):
        self.held, self.attrs = self.version, {"Spec": {"Role": "worker", "Labels": {"a": "b"}}}

    def update(self, spec):
        if self.held != self.version:
            raise APIError("500", explanation="rpc error: desc = update out of sequence")
        self.written.append(spec)


def test_a_change_is_one_request():
    node = Node()
    change_spec(node, {"Role": "manager"})
    assert [{"Role": "manager"}] == node.written


def test_what_the_swarm_wrote_meanwhile_is_kept():
    node = Node(held=1, version=2)
    change_spec(node, {"Role": "manager"})
    assert [{"Role": "manager", "Labels": {"a": "b"}}] == node.written


def test_another_refusal_is_not_swallowed():
    node = Node()
    node.update = lambda spec: (_ for _ in ()).throw(APIError("500", explanation="denied"))
    with pytest.raises(APIError):
        change_spec(node, {"Role": "manager"})
