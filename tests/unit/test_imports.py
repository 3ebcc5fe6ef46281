"""
The library's shape: imports go downward, the rooms keep apart, nothing public is unused.
"""

import ast
import functools
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from runbook_lib.notebook.templates import find_notebooks
from tests.places import ROOT

LIBRARY = sorted((ROOT / "runbook_lib").rglob("[!_]*.py"))
MAIN = ROOT / "runbook_lib" / "__main__.py"
UNIT_TESTS = sorted((ROOT / "tests" / "unit").rglob("*.py"))

ROOMS = {
    "runbook_lib": [
        *["core", "notebook", "runner", "cloud", "hosts.agents", "hosts", "swarm"],
        *["stacks.compose", "stacks.building", "stacks.running", "stacks.deployment"],
        *["stacks.lint", "stacks"],
        *["geodiff", "load.recordings", "load.experiment", "load.analysis", "load.autoscaling"],
        *["availability.standby", "availability.tiles_on_s3", "availability.drills"],
    ],
    "lab": [
        *["core", "engine", "images", "machines", "iam", "faults", "aws", "sample", "commands"],
    ],
}
"""A module imports from its own room and from those before it."""

GUIDE = ROOMS["runbook_lib"][: ROOMS["runbook_lib"].index("geodiff") + 1]
FEWER = {
    "hosts.agents": [],
    "runner": ["core", "notebook"],
    "cloud": ["core"],
    "load.recordings": ["core"],
    "availability.standby": GUIDE,
    "availability.tiles_on_s3": GUIDE,
}
"""Rooms that keep to some of those."""


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts[1:])
    for package in ROOMS
    for path in (ROOT / package).rglob("[!_]*.py")
}


@functools.cache
def imported(path: Path, package: str) -> set[str]:
    """
    The modules of a package that a file imports, at any depth.
    """
    return imported_by(parsed(path), package)


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported_by(code: ast.Module, package: str) -> set[str]:
    found = set()
    for node in ast.walk(code):
        if isinstance(node, ast.Import):
            found |= {
                a.name.partition(".")[2] for a in node.names if a.name.split(".")[0] == package
            }
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package:
            rest = node.module.partition(".")[2]
            names = {f"{rest}.{alias.name}".strip(".") for alias in node.names}
            found |= names & MODULES if names & MODULES else {rest}
    return found


def room(module: str) -> str:
    return module.rpartition(".")[0]


def name(path: Path) -> str:
    """The module's name inside its package, as in `load.analysis.throughput`."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts[1:])


@pytest.mark.parametrize("package", ROOMS)
def test_every_module_has_a_room(package):
    modules = [name(path) for path in (ROOT / package).rglob("[!_]*.py")]
    assert len(modules) > 20
    assert set(ROOMS[package]) == {room(module) for module in modules}


@pytest.mark.parametrize("package", ROOMS)
def test_imports_go_to_rooms_that_stand_before(package):
    order = ROOMS[package]
    for path in (ROOT / package).rglob("[!_]*.py"):
        own = room(name(path))
        before = FEWER.get(own, order[: order.index(own)])
        rooms = {room(module) for module in imported(path, package)}
        assert set() == rooms - {*before, own}, path


def test_no_import_goes_in_a_circle():
    left = {name(path): imported(path, "runbook_lib") for path in LIBRARY}
    while free := [module for module, needs in left.items() if not needs & left.keys()]:
        left = {module: needs for module, needs in left.items() if module not in free}
    assert {} == left


def test_the_guides_path_and_the_runner_need_nothing_of_the_wings():
    """Notebooks 00 to 07 and 9N and the command line, with all that their modules import."""
    guide = [n for n in find_notebooks(ROOT / "notebooks") if n.number[0] in "09"]
    cells = [ast.parse(cell.source) for notebook in guide for cell in notebook.code]
    left = set().union(*(imported_by(cell, "runbook_lib") for cell in cells))
    left |= imported(MAIN, "runbook_lib") | {m for m in MODULES if room(m) == "runner"}
    needed = set()
    while left:
        needed.add(module := left.pop())
        path = ROOT / "runbook_lib" / f"{module.replace('.', '/')}.py"
        left |= imported(path, "runbook_lib") - needed
    assert len(needed) > 40
    assert [] == sorted(m for m in needed if m.split(".")[0] in ("load", "availability"))


def test_the_lab_and_the_runbook_meet_only_over_the_wire():
    for package, other in [("lab", "runbook_lib"), ("runbook_lib", "lab")]:
        for path in (ROOT / package).rglob("*.py"):
            assert set() == imported(path, other), path


def test_every_public_name_is_used_by_a_notebook_another_module_or_a_test_of_its_own():
    users = {path: words(path.read_text()) for path in [*LIBRARY, MAIN, *UNIT_TESTS]}
    in_notebooks = {
        word for n in find_notebooks(ROOT / "notebooks") for c in n.code for word in words(c.source)
    }
    unused = []
    for path in LIBRARY:
        if room(name(path)) == "hosts.agents":  # programs, run by a shell
            continue
        elsewhere = in_notebooks.union(*(used for user, used in users.items() if user != path))
        source = path.read_text()
        for node in parsed(path).body:
            kinds = (ast.FunctionDef, ast.ClassDef)
            if not isinstance(node, kinds) or node.name.startswith("_") or node.name in elsewhere:
                continue
            handed_out = isinstance(node, ast.ClassDef) and source.count(node.name) > 1
            unused += [] if handed_out else [f"{name(path)}.{node.name}"]
    assert [] == unused


def test_a_public_name_has_one_meaning():
    """
    But `check`: a notebook checks its parameters, and what it finds, by their modules.
    """
    places = {}
    for path in LIBRARY:
        if room(name(path)) == "hosts.agents":  # programs, run by a shell
            continue
        for node in parsed(path).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name[0] != "_":
                places.setdefault(node.name, []).append(name(path))
    twice = {one: modules for one, modules in places.items() if len(modules) > 1}
    assert {"check": ["core.checks", "notebook.parameters"]} == twice


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def test_conda_users_get_what_pip_users_get():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, from_pip = conda["dependencies"]
    assert project["requires-python"] == python.removeprefix("python")
    assert "pip" == pip
    extras = ",".join(project["optional-dependencies"])
    assert {"pip": [f"-e .[{extras}]"]} == from_pip
    assert project["name"] == conda["name"]
