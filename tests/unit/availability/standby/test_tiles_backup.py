"""
The backup's files and figures; what it does on instances is in tests/lab.
"""

import configparser
import math

import pandas as pd
import pytest

from runbook_lib.availability.standby.backup_files import side_files
from runbook_lib.availability.standby.tiles_backup import exposure_s
from tests.fakes.ec2 import instance

PEER = instance("manager", "172.31.0.4", "54.0.0.1", instance_id="i-1")
FOLDERS = ["/srv/tiles", "/srv/tiles-load"]


@pytest.fixture
def files():
    """The files of one side by path."""
    made = side_files(FOLDERS, PEER, "ssh-ed25519 AAAA tiles", ["i-1 ssh-ed25519 BBBB"], 45)
    return {file.path: file.content for file in made}


def test_the_key_opens_one_program_from_one_address(files):
    options = files["/etc/tiles-backup/.ssh/authorized_keys"].split(" ssh-ed25519 ")[0]

    assert options.startswith('restrict,from="172.31.0.4",command="')
    assert options.endswith('backup.py serve"')


def test_only_the_pinned_host_key_is_accepted(files):
    settings = dict(
        line.split(maxsplit=1) for line in files["/etc/tiles-backup/ssh_config"].splitlines()
    )

    assert ("yes", "i-1") == (settings["StrictHostKeyChecking"], settings["HostKeyAlias"])
    assert "i-1 ssh-ed25519 BBBB\n" == files["/etc/tiles-backup/known_hosts"]


def test_every_folder_is_shown_read_only_and_without_what_is_hidden(files):
    shown = configparser.ConfigParser()
    shown.read_string(files["/etc/tiles-backup/rsyncd.conf"])

    assert FOLDERS == [shown[name]["path"] for name in shown.sections()]
    assert {("yes", ".*")} == {
        (shown[name]["read only"], shown[name]["exclude"]) for name in shown.sections()
    }


def test_a_copy_starts_every_half_period(files):
    """45 s: so a tile is safe within 45 s as long as a copy takes less than 22.5."""
    timer = configparser.ConfigParser()
    timer.optionxform = str
    timer.read_string(files["/etc/systemd/system/tiles-backup.timer"])

    assert "22.5" == timer["Timer"]["OnUnitActiveSec"]


def test_a_tile_is_exposed_for_half_a_period_and_the_time_of_a_copy():
    runs = pd.DataFrame({"seconds": [40.0, 3.5]})

    assert 18.5 == exposure_s(runs, 30)
    assert math.isinf(exposure_s(runs.iloc[:0], 30))
