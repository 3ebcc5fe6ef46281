"""
What the project is made of: everything has a hash, bills of materials, and an audit that says what
it could not ask.
"""

import re

import pytest

from runbook_lib.core.errors import ConflictError, NotFoundError
from tests.places import ROOT
from tools import supply


def test_make_installs_nothing_without_a_hash_but_this_project():
    makefile, lock = ((ROOT / name).read_text() for name in ("Makefile", "requirements.lock"))
    lines = [line for line in makefile.splitlines() if "pip install " in line]
    assert len(lines) == 2
    unhashed = [line for line in lines if "--require-hashes" not in line]
    assert [True] == [line.endswith("--no-deps --no-build-isolation -e .") for line in unhashed]
    assert re.search(r"(?m)^uv==\S+ \\\n    --hash=sha256:", lock)


def test_packages_that_could_not_be_asked_for_are_no_good_news():
    """PyPI was not reachable; pip-audit ends with 0 and "No known vulnerabilities found"."""
    entries = [
        {"name": "a", "version": "1", "vulns": []},
        {"name": "b", "skip_reason": "Dependency not found on PyPI and could not be audited: b"},
    ]
    with pytest.raises(NotFoundError, match=r"(?s)against 2 .*for 1 of them nothing.*not found on"):
        supply.verdict(entries)


def test_an_advisory_is_told_with_the_version_that_mends_it():
    bug = {"id": "PYSEC-2026-1\x1b[2J", "fix_versions": ["2"]}
    entry = {"name": "a", "version": "1", "vulns": [bug]}
    with pytest.raises(ConflictError, match=r"a 1: PYSEC-2026-1\\x1b\[2J, mended in 2"):
        supply.verdict([entry, {"name": "b", "skip_reason": "x"}])


def test_what_two_locks_name_counts_once():
    entry = {"name": "a", "version": "1", "vulns": []}
    assert "no advisory against 1 locked packages" == supply.verdict([entry, entry])


def test_a_service_that_is_not_reachable_is_said_in_three_parts(monkeypatch, tmp_path, capsys):
    """The real pip-audit, which prints sixty lines of a traceback."""
    (tmp_path / "requirements.lock").write_text(f"six==1.17.0 --hash=sha256:{'4' * 64}\n")
    monkeypatch.setattr(supply, "PROJECT", tmp_path)
    monkeypatch.setattr(supply, "LOCKS", [])
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")

    assert 1 == supply.main(["audit"])
    said = capsys.readouterr().err
    assert said.startswith("expected an answer of pip-audit; it ended with 1\n")
    assert "Unable to connect to proxy" in said
    assert "Traceback" not in said
    assert 3 == len(said.splitlines())


def test_a_bill_has_every_package_of_dpkg_and_npm_by_its_address(monkeypatch, tmp_path):
    lock = {
        "packages": {
            "": {},
            "node_modules/@a/b": {"version": "1"},
            "node_modules/c": {"version": "2"},
        }
    }
    assert ["pkg:npm/%40a/b@1", "pkg:npm/c@2"] == [*map(str, supply.npm_packages(lock))]
    assert ["pkg:deb/debian/libc6@1:2.41-1?arch=amd64"] == [
        *map(str, supply.debian_packages("libc6\t1:2.41-1\tamd64\n"))
    ]


def test_without_a_cluster_the_bills_say_that_its_images_are_not_in(monkeypatch, tmp_path, capsys):
    """A half-written one of a killed run does not stay."""
    monkeypatch.setattr(supply, "BILLS", tmp_path / "sbom")
    monkeypatch.setattr(supply, "PROJECT", tmp_path)
    monkeypatch.setattr(supply, "_tool", lambda *_: None)  # half a minute each
    (tmp_path / "sbom").mkdir()
    (tmp_path / "sbom" / "image-gone.json").touch()

    supply.write_bills(tmp_path / "nowhere.yml")

    said = capsys.readouterr().out
    assert "The Debian packages of the images are not in: " in said
    assert re.search(r"(?m)^sbom/page-map.json: \d+ components$", said)
    assert ["page-map.json"] == [bill.name for bill in (tmp_path / "sbom").iterdir()]
