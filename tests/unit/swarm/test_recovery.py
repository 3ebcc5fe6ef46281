"""
Whether the Swarm can be changed: a request that runs into its time limit tells neither.
"""

import pytest
from docker.errors import APIError

from runbook_lib.core.errors import WaitTimeoutError
from runbook_lib.swarm import recovery
from runbook_lib.swarm.recovery import force_new_cluster, has_majority
from tests.fakes.docker import Engine, in_turn
from tests.fakes.ec2 import instance

LATE = "rpc error: code = DeadlineExceeded desc = context deadline exceeded"
ALONE = "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that ..."


def manager(*answers):
    """An engine that answers one after the other; a text is an error."""
    errors = [APIError("500 Server Error", explanation=a) if a else [] for a in answers]
    engine = Engine()
    engine.nodes.list = in_turn(*errors)
    return engine


def test_a_swarm_with_a_leader_has_a_majority_and_one_without_has_none():
    assert has_majority(manager([]))
    assert not has_majority(manager(ALONE))


def test_while_the_managers_do_not_know_yet_nothing_is_decided():
    assert not has_majority(manager(LATE, ALONE))
    assert has_majority(manager(LATE, []))
    with pytest.raises(WaitTimeoutError, match="deadline"):
        has_majority(manager(LATE), timeout_s=0)


def test_another_error_is_not_swallowed():
    with pytest.raises(APIError):
        has_majority(manager("permission denied"))


class Api:
    """An engine that leads alone once it is told to; `raft` is what it was told since."""

    def __init__(self, alone):
        self.alone, self.forced, self.raft = alone, [], [{"SnapshotInterval": 10000, "Tick": 1}]

    def nodes(self):
        if self.alone and not self.forced:
            raise APIError("500 Server Error", explanation=ALONE)
        return []

    def init_swarm(self, **given):
        self.forced.append(given)

    def inspect_swarm(self):
        return {"Version": {"Index": len(self.raft)}, "Spec": {"Name": "x", "Raft": self.raft[-1]}}

    def update_swarm(self, version, swarm_spec):
        assert (len(self.raft), "x") == (version, swarm_spec["Name"])
        self.raft.append(swarm_spec["Raft"])


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "with a majority"])
def test_only_a_manager_without_majority_is_forced_and_its_settings_are_as_before(
    alone, monkeypatch
):
    monkeypatch.setattr(recovery, "_SNAPSHOT_S", 0)
    engine = Engine()
    api = engine.api = Api(alone)
    engine.nodes.list = api.nodes
    changes = force_new_cluster(engine, instance("manager"))

    assert alone == bool(changes) == bool(api.forced)
    assert api.raft[0] == api.raft[-1]
    assert [1] * alone == [raft["SnapshotInterval"] for raft in api.raft[1:-1]]
