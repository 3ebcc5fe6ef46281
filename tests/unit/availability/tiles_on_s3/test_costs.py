"""
What S3 costs: what a killed measurement leaves, and the prices; the speeds are in the lab.
"""

import subprocess
import sys

import pytest

from runbook_lib.availability.tiles_on_s3 import costs
from runbook_lib.cloud.tiles_bucket import Content
from tests.fakes.docker import Container, Engine, Service, Volume


class Manager(Engine):
    """One on which a measurement is killed, or answers."""

    def __init__(self, dies):
        super().__init__(volumes=[Volume("tiles-data")], containers=[Container("updater")])
        self.dies = dies
        self.containers.run = self.run

    def run(self, image, command, **options):
        if options["entrypoint"] == "chown":
            return b""
        container = self.containers.create(labels=options.get("labels"))
        container.volumes = list(options["volumes"])
        if self.dies:
            raise SystemExit
        container.remove(force=True)
        return b'[[1, "S3", "tiles read", 2, 2, 0.5]]'

    @property
    def there(self):
        return [one.name for one in [*self.volumes, *self.containers]]


@pytest.fixture
def leader(monkeypatch):
    limits = {"Resources": {"Limits": {"NanoCPUs": 1, "MemoryBytes": 1}}}
    spec = {"TaskTemplate": {**limits, "ContainerSpec": {"Image": "geo-diff:1"}}}
    updater = Service("geo-diff_updater", spec)
    monkeypatch.setattr(costs, "find_users", lambda *_: [updater])


@pytest.mark.usefixtures("leader")
def test_what_a_killed_measurement_left_is_removed_by_the_next_one(monkeypatch):
    """Killed, no `finally` runs: a container that works on, and its volume."""
    engine = Manager(dies=True)
    with monkeypatch.context() as killed:
        killed.setattr(costs, "_remove_left", lambda _: None)
        with pytest.raises(SystemExit):
            costs.measure_speed(engine, None, seconds=1, rounds=1)
    assert (2, 2) == (len(engine.volumes.list()), len(engine.containers.list()))
    engine.dies = False
    rows = costs.measure_speed(engine, None, seconds=1, rounds=1)

    assert [4.0] == list(rows["per_s"])
    assert ["tiles-data", "updater"] == engine.there


def test_the_work_begins_in_a_folder_without_another_ones_files(tmp_path):
    """They would be read for its own, and stay in the bucket."""
    for place in ("tiles/.speed/0", "tiles/RAW/d/1/1", "tiles/DESERT/d/1/1", "disk"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "tiles/.speed/0/999999.png").write_bytes(b"half")
    (tmp_path / "tiles/DESERT/d/1/1/1.png").write_bytes(b"a result")
    module = tmp_path / "geodiff/tiles.py"
    module.parent.mkdir()
    module.write_text(
        "from pathlib import Path\n"
        "SURFACES = ['DESERT']\n"
        "def write_atomic(path, data):\n"
        "    assert not (path.parents[1] / '0/999999.png').exists(), 'left'\n"
        "    path.parent.mkdir(parents=True, exist_ok=True)\n"
        "    path.write_bytes(data)\n"
        "    return True\n"
    )
    work = costs._WORK
    for place in ("tiles", "disk"):
        work = work.replace(f'"/{place}', f'"{tmp_path}/{place}')
    command = [sys.executable, "-c", work, "0.01", "2"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (0, "") == (done.returncode, done.stderr)
    assert not (tmp_path / "tiles/.speed").exists()


def test_what_adds_up_is_listings_and_a_longer_belief_costs_less():
    content = Content(objects=10_000, folders=1_400, mib=1024.0)
    an_hour = {
        s: costs.s3_cost_table(content, s).set_index("what")["usd"].iloc[-1] for s in (60, 900)
    }

    assert 0.42 == pytest.approx(an_hour[60])
    assert 0.028 == pytest.approx(an_hour[900])
