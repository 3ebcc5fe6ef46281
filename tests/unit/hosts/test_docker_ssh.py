"""
A Swarm between two leaders is asked again, where that does no harm.
"""

from types import SimpleNamespace

import pytest
from docker.transport.sshconn import SSHHTTPAdapter
from requests import Request, Response

from runbook_lib.hosts import docker_ssh

NODES = "http+docker://ssh/v1.41/nodes"
LOST = "raft: failed to process the request: node lost leader status"
LATE = "rpc error: code = DeadlineExceeded desc = context deadline exceeded"


def answer(status, text):
    made = Response()
    made.status_code, made._content = status, text.encode()
    return made


@pytest.fixture
def ask(monkeypatch):
    """Send a request to an engine that gives these answers, one after the other."""
    monkeypatch.setattr(docker_ssh, "_AGAIN_S", 0)

    def send(method, url, *answers):
        left = iter(answers)
        monkeypatch.setattr(SSHHTTPAdapter, "send", lambda *_args, **_options: next(left))
        adapter = docker_ssh._Adapter(SimpleNamespace(host="here"), 1)
        return adapter.send(Request(method, url).prepare()).text

    return send


@pytest.mark.parametrize("error", [LOST, LATE])
@pytest.mark.parametrize(
    ("method", "url"), [("GET", NODES), ("POST", f"{NODES}/x/update?version=7")]
)
def test_what_was_dropped_is_asked_again(ask, method, url, error):
    assert "[]" == ask(method, url, answer(500, error), answer(503, error), answer(200, "[]"))


def test_what_could_be_done_twice_is_not_asked_again(ask):
    assert LOST == ask("POST", f"{NODES}/create", answer(500, LOST))


def test_a_swarm_that_says_that_nobody_leads_is_believed(ask):
    said = "rpc error: code = Unknown desc = The swarm does not have a leader."
    assert said == ask("GET", NODES, answer(503, said))


def test_the_patience_has_an_end(ask, monkeypatch):
    monkeypatch.setattr(docker_ssh, "_LEADER_CHANGE_S", 0)
    assert LATE == ask("GET", NODES, answer(500, LATE))
