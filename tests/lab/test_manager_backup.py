"""
The manager fails for real: its instance is stopped, `manager-backup` takes over, and gives back.

The tests stand in the order of the steps and build on each other, on a cluster where 00 to 07 ran.
They need `backup_period_s` low enough to be waited for.
"""

import json
import time

import pytest
import requests

from runbook_lib.availability.drills.scorecard import BREAKING, BROKEN, RESTORING
from runbook_lib.availability.standby import failover, tiles_backup
from runbook_lib.availability.standby.pair import find_master, wait_for_new_leader
from runbook_lib.cloud import instances
from runbook_lib.cloud.roles import BACKUP, MANAGER
from runbook_lib.core.wait import Pending, wait_for
from runbook_lib.hosts import clusters, ssh
from tests.lab.drilling import interrupt

pytestmark = [pytest.mark.lab, pytest.mark.availability, pytest.mark.usefixtures("deployed")]

PERIOD_S = 60
STACKS = failover.Stacks()
REMOVED = 40
"""Results that the backup lacks when the manager fails."""


def test_the_seventh_instance_joins_and_keeps_a_verified_copy(runbook):
    """The second run says no changes; one manager may fail; the firewall is still the tables'."""
    first = runbook.run("--only", "30", backup_period_s=PERIOD_S)["30"]
    second = runbook.run("--only", "30", backup_period_s=PERIOD_S)["30"]
    again = runbook.run("--to", "07")

    assert "passed" == first["verdict"] == second["verdict"]
    assert [] == second["changes"]
    assert {"passed"} == {page["verdict"] for page in again.values()}
    assert [] == [change for page in again.values() for change in page["changes"]]


def test_the_key_of_the_backup_opens_nothing_but_the_tiles(runbook):
    """No shell, no other file, no write; and from the manager the way is just as narrow."""
    live = cluster(runbook)
    ask = "ssh -F /etc/tiles-backup/ssh_config other-manager"
    for role in (MANAGER, BACKUP):
        for request in ("id", "bash -i", "cat /etc/passwd", "rsync --server . /etc"):
            said = ssh.run(
                live.connections[role],
                f"{ask} {request} 2>&1 </dev/null || echo refused",
                sudo=True,
            )
            assert "may not run" in said
            assert "refused" in said
        push = "rsync -e 'ssh -F /etc/tiles-backup/ssh_config' /etc/hostname other-manager::tiles/x"
        told = ssh.run(live.connections[role], f"{push} 2>&1 || echo refused", sudo=True)
        assert "refused" in told  # a server that hangs up early leaves no other word
    for connection in live.connections.values():
        assert "absent" in ssh.run(connection, "test -e /srv/tiles/x || echo absent", sudo=True)


def test_a_copy_that_was_altered_is_noticed_and_mended(runbook):
    """Same size, same time: rsync alone would believe it."""
    live = cluster(runbook)
    some = ssh.run(
        live.connections[BACKUP], "find /srv/tiles/DESERT -name '*.png' -print -quit"
    ).strip()
    before = ssh.run(live.connections[BACKUP], f"sha256sum {some}")
    spoil = f"touch -r {some} /tmp/when; printf X | dd of={some} conv=notrunc 2>/dev/null"
    ssh.run(live.connections[BACKUP], f"{spoil}; touch -r /tmp/when {some}", sudo=True)
    assert before != ssh.run(live.connections[BACKUP], f"sha256sum {some}")

    tiles_backup.copy_now(live.connections[BACKUP])

    assert before == ssh.run(live.connections[BACKUP], f"sha256sum {some}")


def test_the_manager_fails_and_its_services_go_on(runbook):
    """A new leader, the map's tiles from the new address, and every result in the end."""
    live = cluster(runbook)
    tiles_backup.copy_now(live.connections[BACKUP])
    counted = count(live.connections[MANAGER])
    tiles_backup.stop_timer(live.connections[BACKUP])
    take_results_away(live.connections[BACKUP])
    ec2 = runbook.place.client("ec2")
    began = time.monotonic()
    ec2.stop_instances(InstanceIds=[live.instances[MANAGER].instance_id])
    without = cluster(runbook, roles=(BACKUP,))
    wait_for_new_leader(without.engines[BACKUP], live.instances[MANAGER], 60)
    leader_s = time.monotonic() - began
    failover.fail_over(without, STACKS)
    wait_for_tile_server(without.instances[BACKUP])
    alive_s = time.monotonic() - began
    print(f"new leader after {leader_s:.1f} s, application alive after {alive_s:.1f} s")

    assert BACKUP == find_master(without.engines[BACKUP], without.instances)
    assert [] == failover.fail_over(without, STACKS)
    assert counted == wait_for_count(without.connections[BACKUP], counted)
    told = requests.get(
        f"http://{live.instances['admin-web'].public_ip}:8080/config.json", timeout=5
    )
    assert live.instances[BACKUP].public_ip in told.text


def test_the_manager_is_back_and_gets_everything_back(runbook):
    """Results that were written in the meantime come along, and 30 and 01 to 07 say no changes."""
    ec2 = runbook.place.client("ec2")
    before = cluster(runbook, roles=(BACKUP,))
    promised = count(before.connections[BACKUP])
    stopped = before.instances[MANAGER].instance_id
    ec2.start_instances(InstanceIds=[stopped])
    ec2.get_waiter("instance_status_ok").wait(
        InstanceIds=[stopped], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    live = cluster(runbook)
    failover.fail_back(live, STACKS)

    assert MANAGER == find_master(live.engines[BACKUP], live.instances)
    assert [] == failover.fail_back(live, STACKS)
    assert promised == count(live.connections[MANAGER])
    wait_for_tile_server(live.instances[MANAGER])
    again = runbook.run("--only", "30", backup_period_s=PERIOD_S)["30"]
    assert "passed" == again["verdict"]
    assert [] == again["changes"]


@pytest.mark.parametrize("phase", [BREAKING, BROKEN, RESTORING])
def test_an_interrupt_of_the_drill_gives_everything_back(runbook, phase):
    """While the services move, once they have, and while they return."""
    interrupt(runbook, "23", phase, "manager stopped", least_tiles=300)


def test_the_undo_leaves_the_six_as_they_were(runbook):
    first = runbook.run("--only", "35")["35"]
    second = runbook.run("--only", "35")["35"]
    again = runbook.run("--to", "07")

    assert first["changes"]
    assert [] == second["changes"]
    assert [] == [change for page in again.values() for change in page["changes"]]


def cluster(runbook, roles=(MANAGER, BACKUP)):
    """The cluster, connected to those of the two managers that live; one may be stopped."""
    place = runbook.place
    name, ec2 = runbook.given["cluster"], place.client("ec2")
    found = {i.role: i for i in instances.find_instances(ec2, name)}
    return clusters.Cluster(name, str(runbook.given["key_file"]), place, ec2, found, roles)


def count(connection):
    """The tiles and results by folder."""
    script = (
        "cd /srv/tiles && for d in [A-Z]*; do echo $d $(find $d -name '[!.]*.png' | wc -l); done"
    )
    return dict(line.split() for line in ssh.run(connection, script).splitlines())


def wait_for_count(connection, wanted, timeout_s=300):
    def probe():
        seen = count(connection)
        return seen if seen == wanted else Pending(json.dumps(seen))

    return wait_for("Every result", probe, timeout_s=timeout_s, poll_s=2)


def take_results_away(connection):
    """As if the last backup had come too early: the dealer deals their tiles again."""
    find = f"find /srv/tiles/OCEAN-SEA -name '[!.]*.png' | sed -n 1,{REMOVED}p"
    ssh.run(connection, f"{find} | xargs rm", sudo=True)


def wait_for_tile_server(master, timeout_s=120):
    """The tile server answers at the master's public address."""

    def probe():
        try:
            answer = requests.get(f"http://{master.public_ip}:5000/health", timeout=2)
        except requests.RequestException as error:
            return Pending(type(error).__name__)
        return answer.status_code == 200 or Pending(str(answer.status_code))

    return wait_for("The tile server answers", probe, timeout_s=timeout_s)
