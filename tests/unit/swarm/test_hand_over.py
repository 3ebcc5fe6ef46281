"""
The program that hands the lead over and keeps the managers, run for real beside a false `docker`.
"""

import os
import subprocess

import pytest

from runbook_lib.swarm.hand_over import LABEL, SCRIPT

DOCKER = """#!/bin/bash
case "$1 $2 $3" in
  "node inspect self") cat {folder}/leads ;;
  "node inspect "*) cat {folder}/nodes ;;
  "node ls --filter") cat {folder}/managers ;;
  "node ls --quiet") cut -d' ' -f1 {folder}/nodes ;;
  "node update "*) echo "${{@:3}}" >>{folder}/updates; echo false >{folder}/controls ;;
  "info --format {{{{.Swarm.NodeID}}}}") echo me ;;
  "info --format {{{{.Swarm.ControlAvailable}}}}") cat {folder}/controls ;;
esac
"""
# the loop ends when it cannot sleep any more
SLEEP = "#!/bin/bash\n[ ! -e {folder}/slept ] && touch {folder}/slept\n"


@pytest.fixture
def program(tmp_path):
    """The program in a world where `leads`, `managers` and `nodes` say what docker says."""
    for name, text in {"docker": DOCKER, "sleep": SLEEP, "hand-over": SCRIPT}.items():
        path = tmp_path / name
        path.write_text(text if name == "hand-over" else text.format(folder=tmp_path))
        path.chmod(0o755)

    def run(verb, *, leads="true", managers=("Leader", "Reachable", "Reachable"), nodes=()):
        (tmp_path / "leads").write_text(f"{leads}\n")
        (tmp_path / "managers").write_text("".join(f"{m}\n" for m in managers))
        (tmp_path / "nodes").write_text("".join(f"{n}\n" for n in nodes))
        (tmp_path / "controls").write_text("true\n")
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        subprocess.run([tmp_path / "hand-over", verb], env=environment, check=False, timeout=20)
        updates = tmp_path / "updates"
        return updates.read_text().splitlines() if updates.exists() else []

    return run


def test_the_leader_is_a_worker_before_its_engine_stops(program):
    assert [f"--role worker --label-add {LABEL}=yes me"] == program("go")


@pytest.mark.parametrize("leads", ["false", "Error: this node is not a swarm manager"])
def test_a_manager_that_does_not_lead_just_stops(program, leads):
    assert [] == program("go", leads=leads)


@pytest.mark.parametrize(
    "managers",
    [["Leader"], ["Leader", "Reachable"], ["Leader", "Reachable", "Unreachable"]],
    ids=" ".join,
)
def test_of_two_that_answer_none_is_spared(program, managers):
    assert [] == program("go", managers=managers)


def test_a_leader_that_handed_over_and_is_back_is_a_manager_again(program):
    """But not by itself: it has the lead for a moment after it gave it away."""
    nodes = ["a ready yes", "b down yes", "c ready ", "d ready", "me ready yes"]

    assert [f"--role manager --label-rm {LABEL} a"] == program("keep", nodes=nodes)


def test_only_the_leader_makes_managers(program):
    assert [] == program("keep", leads="false", nodes=["a ready yes"])
