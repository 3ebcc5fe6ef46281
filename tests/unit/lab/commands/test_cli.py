"""
The command line: wrong usage, and what an existing lab keeps.
"""

import json
from types import SimpleNamespace

import pytest

from lab.commands import fault, preflight, server_process, status, up
from lab.commands.cli import configured, main, parser
from lab.core.config import LabConfig
from lab.core.errors import LabError
from lab.faults.armed import Fault, Faults
from lab.machines.containers import Condition


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_lab_that_is_not_there_is_down(capsys):
    """`status` says so by its exit code, too."""
    assert main(["status", "--name", "nowhere"]) == 3
    assert "nowhere is down" in capsys.readouterr().out


def test_wrong_parameters_are_refused_before_anything_is_touched(home, capsys, monkeypatch):
    """All of them at once, with exit code 1."""
    monkeypatch.setattr(up, "up", lambda *_: pytest.fail("it went on"))
    assert main(["up", "--port", "80", "--subnet", "8.8.0.0/16"]) == 1
    text = capsys.readouterr().err
    assert "port 80" in text
    assert "8.8.0.0/16" in text
    assert list(home.iterdir()) == []


def test_silent_options_keep_what_the_lab_has(home):
    """The policy of an earlier `up` stays; a new port is taken."""
    policy = home / "policy.json"
    policy.write_text(json.dumps({"Statement": []}))
    LabConfig(name="a", subnet="10.9.0.0/16", operator_policies=(str(policy),)).save()
    config = configured(parser().parse_args(["up", "--name", "a", "--port", "6000"]))
    assert (config.subnet, config.port) == ("10.9.0.0/16", 6000)
    assert config.operator_policies == (str(policy),)


def test_a_lab_keeps_its_subnet_while_it_exists():
    """Its instances have their addresses there."""
    LabConfig(name="a", subnet="10.9.0.0/16").save()
    with pytest.raises(LabError, match=r"subnet is 10\.9\.0\.0/16"):
        configured(parser().parse_args(["up", "--name", "a", "--subnet", "10.8.0.0/16"]))


def test_another_lab_at_the_same_port_is_not_taken_for_ours(monkeypatch):
    """The endpoint reports its name."""

    class Answer:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def read(self):
            return b'{"name": "theirs", "ready": true}'

    monkeypatch.setattr(server_process.urllib.request, "urlopen", lambda url, timeout: Answer())
    assert not server_process.is_healthy(LabConfig(name="ours"))
    assert server_process.is_healthy(LabConfig(name="theirs"))


def test_a_failed_preflight_ends_up_with_the_findings(monkeypatch, capsys):
    """And nothing is installed or started."""
    finding = preflight.Finding("a kernel with VXLAN", "refused", "modprobe vxlan")
    monkeypatch.setattr(preflight, "find_problems", lambda config, daemon: [finding])
    assert main(["up"]) == 1
    assert "a kernel with VXLAN\n  seen: refused\n  next: modprobe vxlan" in capsys.readouterr().err


def test_columns_are_as_wide_as_their_widest_cell():
    """Without blanks at the end of a line."""
    assert status.table([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc  d\n"


def test_a_fault_is_armed_listed_and_cleared(home, capsys):
    """Each command is a process of its own; the lab's server reads the same file."""
    LabConfig(name="a").save()
    for command in ("lost --only RunInstances --seed 7", "list", "clear", "list"):
        assert main(["fault", *command.split(), "--name", "a"]) == 0
    assert [
        "1  lost of RunInstances: at most 3, 100% by seed 7",
        "1  lost of RunInstances: at most 3, 100% by seed 7; struck 0",
        "1  lost of RunInstances: at most 3, 100% by seed 7: ended",
        "no fault is armed",
    ] == capsys.readouterr().out.splitlines()


def test_what_cannot_end_on_a_host_stays_armed_and_the_others_end(home, monkeypatch, capsys):
    """A stopped instance keeps what was done to its files; one that is gone keeps nothing."""
    conditions = {
        "i-stopped": Condition(exists=True),
        "i-gone": Condition(exists=False),
        "i-runs": Condition(exists=True, running=True),
    }
    ended = []
    machines = SimpleNamespace(condition=conditions.__getitem__, unpause=ended.append)
    monkeypatch.setattr(fault, "Machines", lambda config: machines)
    LabConfig(name="a").save()
    faults = Faults(LabConfig.load("a").state_dir)
    for instance_id in conditions:
        faults.arm(Fault("hang", only=(instance_id,)))
    faults.arm(Fault("slow"))

    assert main(["fault", "hang", "--name", "a", "--only", "i-runs", "i-gone", "i-stopped"]) == 1
    assert "i-gone does not run; i-stopped does not run" in capsys.readouterr().err
    assert main(["fault", "clear", "--name", "a"]) == 1
    assert ["i-stopped"] == [one.only[0] for one in faults.armed()]
    assert ["i-runs"] == ended
    assert "expected i-stopped to run" in capsys.readouterr().err


def test_an_unbounded_fault_is_refused_with_every_reason(home, capsys):
    LabConfig(name="a").save()
    assert main(["fault", "hang", "--name", "a", "--count", "0", "--share", "2"]) == 1
    text = capsys.readouterr().err
    assert all(part in text for part in ("--count 0", "--share 2", "--only must name"))
