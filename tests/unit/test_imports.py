"""
The library's shape: imports go downward, the rooms keep apart, nothing public is unused.
"""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from runbook_lib.notebooks import find_notebooks

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = sorted((ROOT / "runbook_lib").glob("*.py"))
MODULES = {path.stem for path in LIBRARY}

LAYERS = [
    {"errors", "ledger"},
    {"progress", "changes", "checks"},
    {"wait", "parallel"},
    {"aws", "ssh", "docker_ssh"},  # the wire
]
"""Below them all; a module of a layer imports only from the layers under it."""

RUNNER = {
    "declarations": {"errors"},
    "notebooks": {"errors"},
    "parameters": {"errors", "declarations", "notebooks"},
    "runs": {"errors"},
    "kernels": {"notebooks"},
    "interrupts": {"kernels", "runs"},
    "leaks": {"notebooks"},
    "report": {"runs"},
    "execution": {"checks", "interrupts", "kernels", "notebooks", "runs"},
    "turns": {
        "execution",
        "interrupts",
        "kernels",
        "leaks",
        "notebooks",
        "parameters",
        "report",
        "runs",
    },
    "headless": {"errors", "interrupts", "kernels", "notebooks", "parameters", "runs", "turns"},
    "__main__": {"errors", "headless", "notebooks"},
}
"""The runner beside them: it knows notebooks, and nothing of clusters."""

SIBLINGS = {
    "steps": "looks at every step, so it knows the noun of each",
}
"""Modules that import other nouns, each with its reason."""


def imported(path: Path, package: str) -> set[str]:
    """
    The modules of a package that a file imports, at any depth.
    """
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {
                a.name.partition(".")[2] for a in node.names if a.name.split(".")[0] == package
            }
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package:
            rest = node.module.partition(".")[2]
            found |= {rest} if rest else {alias.name for alias in node.names}
    return found


def test_there_is_a_library():
    assert len(LIBRARY) > 20


@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: p.stem)
def test_imports_go_downward(path):
    below = set()
    for layer in LAYERS:
        if path.stem in layer:
            break
        below |= layer
    allowed = RUNNER.get(path.stem, below)
    beyond = imported(path, "runbook_lib") - allowed
    if path.stem in SIBLINGS:
        beyond = set()
    assert set() == beyond


def test_no_import_goes_in_a_circle():
    left = {path.stem: imported(path, "runbook_lib") & MODULES for path in LIBRARY}
    while free := [name for name, needs in left.items() if not needs & left.keys()]:
        left = {name: needs for name, needs in left.items() if name not in free}
    assert {} == left


def test_the_lab_and_the_runbook_meet_only_over_the_wire():
    for room, other in [("lab", "runbook_lib"), ("runbook_lib", "lab")]:
        for path in (ROOT / room).rglob("*.py"):
            assert set() == imported(path, other), path


def test_every_public_name_is_used_by_a_notebook_or_another_module():
    words = {path: set(re.findall(r"\w+", path.read_text())) for path in LIBRARY}
    notebooks = find_notebooks(ROOT / "notebooks")
    in_notebooks = {
        word for n in notebooks for c in n.code for word in re.findall(r"\w+", c.source)
    }
    unused = []
    for path in LIBRARY:
        elsewhere = in_notebooks.union(*(w for other, w in words.items() if other != path))
        own = path.read_text()
        for node in ast.parse(own).body:
            if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
                continue
            returned = len(re.findall(rf"\b{node.name}\b", own)) > 1  # a record that is handed out
            if node.name not in elsewhere and not (isinstance(node, ast.ClassDef) and returned):
                unused.append(f"{path.stem}.{node.name}")
    assert ["__main__.main"] == unused  # the console script


def test_conda_users_get_what_pip_users_get():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, from_pip = conda["dependencies"]
    assert project["requires-python"] == python.removeprefix("python")
    assert "pip" == pip
    extras = ",".join(project["optional-dependencies"])
    assert {"pip": [f"-e .[{extras}]"]} == from_pip
    assert project["name"] == conda["name"]
