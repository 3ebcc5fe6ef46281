"""
The queues as rabbitmqctl prints them: read past its warnings, awaited until they are empty.
"""

import json

import pytest

from runbook_lib.core.errors import NotFoundError, WaitTimeoutError
from runbook_lib.geodiff import broker


@pytest.fixture
def printed(monkeypatch):
    """What rabbitmqctl prints, one text a call; the commands that were run."""
    texts, commands = [], []

    def run_in(_, command):
        commands.append(command)
        return texts.pop(0)

    monkeypatch.setattr(broker, "get_container", lambda *_: "a container")
    monkeypatch.setattr(broker, "run_in", run_in)
    return texts, commands


def queues(**messages):
    rows = [
        {
            "name": n,
            "messages": m,
            "messages_ready": m,
            "messages_unacknowledged": 0,
            "consumers": 1,
        }
        for n, m in messages.items()
    ]
    return f"a warning\n{json.dumps(rows)}\n"


def test_warnings_before_the_json_are_skipped(printed):
    printed[0].append('12:00:00.000 a warning\n{"running_nodes": ["rabbit@rabbitmq"]}')
    status = broker.rabbitmqctl(None, "s", "cluster_status")
    assert ["rabbit@rabbitmq"] == status["running_nodes"]
    assert ["rabbitmqctl", "--quiet", "--formatter", "json", "cluster_status"] == printed[1][0]


def test_the_named_queues_are_empty_whatever_another_one_holds(printed):
    printed[0].append(queues(TASK=0, DEAD=2))
    depths = broker.wait_until_idle(None, "s", ["TASK"])
    assert ["DEAD", "TASK"] == list(depths["name"])
    assert (0, 2) == (broker.backlog(depths, ["TASK"]), broker.backlog(depths, ["TASK", "DEAD"]))


def test_queues_that_stay_full_are_named_with_their_messages(printed):
    printed[0].append(queues(TASK=3))
    with pytest.raises(WaitTimeoutError, match="TASK: 3"):
        broker.wait_until_idle(None, "s", ["TASK"], timeout_s=0)


def test_without_queues_the_broker_is_not_asked_and_a_wrong_name_is_an_error(printed):
    nothing = broker.wait_until_idle(None, "s", [])
    assert 0 == broker.backlog(nothing, []) == len(printed[1])
    with pytest.raises(NotFoundError, match="the broker has no TASK"):
        broker.backlog(nothing, ["TASK"])
