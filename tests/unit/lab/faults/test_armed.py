"""
Faults are bounded, and a seed brings the same ones again.
"""

import json

import pytest

from lab.core.errors import LabError
from lab.faults.armed import Fault, Faults


def test_a_seed_picks_the_same_occasions_again_and_another_seed_others():
    def picked(seed):
        fault = Fault("throttle", seed, share=0.3)
        return [n for n in range(200) if fault.picks("RunInstances", n)]

    assert picked(1) == picked(1)
    assert picked(1) != picked(2)
    assert 30 < len(picked(1)) < 90


def test_a_number_is_never_given_twice_even_after_a_restart(tmp_path):
    faults = Faults(tmp_path)
    first = faults.arm(Fault("slow"))
    faults.record(first, "ec2:RunInstances 1: slow")
    assert [first] == faults.disarm()

    again = Faults(tmp_path)
    second = again.arm(Fault("slow"))
    assert (1, 2) == (first.number, second.number)
    assert [second] == Faults(tmp_path).armed()
    assert {1: ["ec2:RunInstances 1: slow"]} == again.strikes()


def test_what_another_process_arms_or_ends_is_seen_at_once(tmp_path):
    server, command = Faults(tmp_path), Faults(tmp_path)
    assert [] == server.armed()
    one = command.arm(Fault("lost", only=("Create*",)))
    assert [one] == server.armed()
    command.disarm(one.number)
    assert [] == server.armed()


def test_only_names_what_is_struck():
    fault = Fault("throttle", only=("Describe*", "RunInstances"))
    names = ("DescribeVpcs", "RunInstances", "Run")
    assert [True, True, False] == [fault.concerns(n) for n in names]


def test_a_broken_file_is_told_with_its_path(tmp_path):
    (tmp_path / "faults.json").write_text(json.dumps([{"kind": "slow"}]))
    with pytest.raises(LabError, match=r"faults\.json"):
        Faults(tmp_path).armed()
