"""
A node's stream that breaks off: its thread ends, and says why.
"""

import json

import pytest

from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.load.experiment import node_stream
from tests.fakes.ssh import LocalConnection

SAMPLE = {"tick": 0, "time": 1709632800.0, "cpu_s": 0.1, "rows": []}
AGENT = """
import sys
def main():
    sys.stdin.readline()
    for line in {lines!r}:
        print(line, flush=True)
    sys.exit({end!r})
"""


@pytest.mark.parametrize(
    ("lines", "end", "reason"),
    [
        (["[1]"], None, "AttributeError|TypeError"),
        (['{"record": "decision", "time": 7}'], None, "TypeError"),
        (['{"event": null}'], None, "TypeError"),
        (['{"neither": 1}'], None, "KeyError"),
        (["no JSON"], None, "JSONDecodeError"),
        ([], "the engine is gone", "the engine is gone"),
        ([], None, "the connection was closed"),
    ],
)
def test_a_stream_that_breaks_off_says_why(monkeypatch, lines, end, reason):
    """After a good sample; the reason can be written to the recording."""
    agent = AGENT.format(lines=[json.dumps(SAMPLE), *lines], end=end)
    monkeypatch.setattr(node_stream, "_PROGRAM", {"agent": agent})
    stream = node_stream.NodeStream(
        "worker-1", LocalConnection(), roles={}, plan={"period_s": 1}, sink=lambda *_: None
    )
    wait_for("End", lambda: stream.ended or Pending("runs"), timeout_s=20, poll_s=0.05)
    stream.stop(SAMPLE["time"] + 10)
    assert 1 == stream.ticks
    assert 10 == stream.lost
    assert any(word in json.dumps(stream.ended) for word in reason.split("|"))
