"""
What EC2 says of an instance whose machine did not boot.
"""

from types import SimpleNamespace

from lab.aws.instances import LabInstance


def test_the_reason_of_a_failed_boot_is_what_xml_can_carry():
    """A console has colours; a control character would make the whole answer unreadable."""
    machine = LabInstance.__new__(LabInstance)
    machine._state = SimpleNamespace(code=0, name="pending")
    machine.on_failed("no SSH\n  seen: [\x1b[0;32m  OK  \x1b[0m] Fini\x07shed")

    assert "Server.InternalError: no SSH\n  seen: [  OK  ] Finished" == machine.state_reason.message
    assert ("running", "impaired") == (machine.state, machine.status_checks)
