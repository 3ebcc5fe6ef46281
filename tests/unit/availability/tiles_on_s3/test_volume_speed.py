"""
The measurement of a volume's speed: what it leaves where it is killed; the figures are in the lab.
"""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from runbook_lib.availability.tiles_on_s3 import volume_speed


class Engine:
    """Containers and volumes with their labels, and a measurement that is killed or answers."""

    def __init__(self, dies):
        self.dies, self.number = dies, 0
        self.there = {"volume": {"tiles-data": {}}, "container": {"updater": {}}}
        self.containers = SimpleNamespace(
            run=self.run, list=lambda filters, **_: self.find("container", filters["label"])
        )
        self.volumes = SimpleNamespace(
            create=self.create, list=lambda filters: self.find("volume", filters["label"])
        )

    def add(self, kind, labels):
        self.number += 1
        name = f"{kind}-{self.number}"
        self.there[kind][name] = labels
        return self.named(kind, name)

    def named(self, kind, name):
        def remove(force):
            assert kind == "container" or not any(
                v.startswith("container") for v in self.there["container"]
            ), "the volume is in use"
            del self.there[kind][name]

        return SimpleNamespace(name=name, remove=remove)

    def find(self, kind, label):
        return [
            self.named(kind, n) for n, labels in list(self.there[kind].items()) if label in labels
        ]

    def create(self, labels=None):
        return self.add("volume", labels or {})

    def run(self, image, command, **options):
        if options["entrypoint"] == "chown":
            return b""
        container = self.add("container", options.get("labels", {}))
        if self.dies:
            raise SystemExit
        container.remove(force=True)
        return b'[[1, "S3", "tiles read", 2, 2, 0.5]]'


@pytest.fixture
def leader(monkeypatch):
    limits = {"Resources": {"Limits": {"NanoCPUs": 1, "MemoryBytes": 1}}}
    spec = {"TaskTemplate": {**limits, "ContainerSpec": {"Image": "geo-diff:1"}}}
    updater = SimpleNamespace(name="geo-diff_updater", attrs={"Spec": spec})
    monkeypatch.setattr(volume_speed, "find_users", lambda *_: [updater])


@pytest.mark.usefixtures("leader")
def test_what_a_killed_measurement_left_is_removed_by_the_next_one(monkeypatch):
    """Killed, no `finally` runs: a container that works on, and its volume."""
    engine = Engine(dies=True)
    with monkeypatch.context() as killed:
        killed.setattr(volume_speed, "_remove_left", lambda _: None)
        with pytest.raises(SystemExit):
            volume_speed.measure_speed(engine, None, seconds=1, rounds=1)
    assert (2, 2) == (len(engine.there["volume"]), len(engine.there["container"]))
    engine.dies = False
    rows = volume_speed.measure_speed(engine, None, seconds=1, rounds=1)

    assert [4.0] == list(rows["per_s"])
    assert {"volume": {"tiles-data": {}}, "container": {"updater": {}}} == engine.there


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
    work = volume_speed._WORK
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
