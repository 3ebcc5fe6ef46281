"""
A small real batch: the scripts run for real, on a folder of this machine.
"""

import pytest

from runbook_lib.core.errors import ConflictError
from runbook_lib.geodiff.recompute import fingerprints, take_results, wait_until_recomputed
from runbook_lib.geodiff.tiles import DataSet
from tests.fakes.ssh import LocalConnection

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.fixture
def data(tmp_path):
    """Four results of one surface and one of another, all empty files."""
    for name in ("DESERT/d/0/0/0", "DESERT/d/1/0/0", "DESERT/d/1/0/1", "DESERT/d/1/1/0", "OCEAN/d"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return DataSet("https://example.org", str(tmp_path))


def test_the_first_ones_are_taken_away_and_remembered(data, tmp_path):
    taken = take_results(LocalConnection(), data, "DESERT", 2)

    assert {"./d/0/0/0.png": EMPTY, "./d/1/0/0.png": EMPTY} == taken
    assert {"DESERT/d/1/0/1.png", "DESERT/d/1/1/0.png", "OCEAN/d.png"} == {
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.png")
    }


def test_too_few_results_are_left_alone(data, tmp_path):
    with pytest.raises(ConflictError, match="expected 5 results of DESERT"):
        take_results(LocalConnection(), data, "DESERT", 5)
    assert 5 == len(list(tmp_path.rglob("*.png")))


def test_results_that_are_made_again_come_with_their_new_fingerprints(data, tmp_path):
    taken = take_results(LocalConnection(), data, "DESERT", 2)
    for name, content in zip(taken, ("", "other"), strict=True):
        (tmp_path / "DESERT" / name).write_text(content)

    again = wait_until_recomputed(LocalConnection(), data, "DESERT", taken, timeout_s=5)
    assert ["./d/1/0/0.png"] == [name for name in taken if taken[name] != again[name]]


def test_of_nothing_there_are_no_fingerprints(data):
    assert {} == fingerprints(LocalConnection(), data, "DESERT", [])


def test_a_name_of_two_words_removes_nothing_else(data, tmp_path):
    """As root, `rm` would otherwise take whatever file a service of the stack spells."""
    precious = tmp_path / "precious.png"
    precious.touch()
    folder = tmp_path / "DESERT" / "a " / str(precious.parent)[1:]  # "./a /tmp/...", in two words
    folder.mkdir(parents=True)
    (folder / "precious.png").touch()
    (tmp_path / "DESERT" / "a\n0.png").touch()
    (tmp_path / "DESERT" / "a.png").symlink_to(precious)
    taken = take_results(LocalConnection(), data, "DESERT", 4)
    assert ["./d/0/0/0.png", "./d/1/0/0.png", "./d/1/0/1.png", "./d/1/1/0.png"] == sorted(taken)
    assert precious.exists()
