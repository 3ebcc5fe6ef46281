"""
`runbook verify`: is a run one clean execution of the notebooks, in order, and unchanged since?

The seal is a hash, not a signature: it shows accidents and edits. Whoever can write the folder can
also seal it again; compare the seal with the one that was told elsewhere when the run ended.
"""

import ast
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook_lib.core.errors import IntegrityError, NotFoundError
from runbook_lib.notebook.templates import find_notebooks
from runbook_lib.runner.record import PASSED, digest, seal_of
from runbook_lib.runner.terminal import coloured, fit

_CLOCK_S = 1.0
"""How far the wall clock may go back between two notebooks."""


@dataclass(frozen=True)
class Proof:
    """
    Statements on a run, each with what speaks against it.
    """

    folder: Path
    seal: str
    statements: dict[str, list[str]]

    @property
    def holds(self) -> bool:
        return not any(self.statements.values())

    def __repr__(self) -> str:
        lines = []
        for statement, against in self.statements.items():
            lines.append(coloured(f"{'✗' if against else '✓'} {statement}", _verdict(against)))
            lines += [f"    {fit(reason, 300)}" for reason in against]
        return "\n".join([f"{self.folder}", *lines, f"seal {self.seal or 'missing'}"])


def _verdict(against: list[str]) -> str:
    return "failed" if against else PASSED


def verify(folder: Path, notebooks: Path) -> Proof:
    """
    Compare a run with its record, and its notebooks with the templates of today.

    Raises NotFoundError if there is no run; IntegrityError if its record is none.
    """
    path = folder / "run.json"
    if not path.is_file():
        raise NotFoundError(
            f"expected a run in {folder}; it has no run.json", next_step="list them:  runbook runs"
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        statements = _statements(record, folder, notebooks)
    except (AttributeError, KeyError, RecursionError, SyntaxError, TypeError, ValueError) as error:
        raise IntegrityError(
            f"expected the record of a run in {path}",
            evidence=f"{type(error).__name__}: {error}",
            next_step="run the notebooks again, or restore the folder",
        ) from error
    return Proof(folder, str(record.get("seal", "")), statements)


def _statements(record: dict[str, Any], folder: Path, notebooks: Path) -> dict[str, list[str]]:
    pages = record["pages"]
    names = [page["name"] for page in pages]
    strange = [name for name in names if not re.fullmatch(r"\d\d_\w+", name)]
    if strange or not names:
        raise ValueError(f"expected names of notebooks, saw {strange}")
    not_passed = [
        f"{p['name']}: {p['verdict'] or 'not run'}" for p in pages if p["verdict"] != PASSED
    ]
    ends = [page["started"] + page["seconds"] for page in pages]
    late = [
        f"{page['name']} began before {names[i]} had ended"
        for i, page in enumerate(pages[1:])
        if page["verdict"] and page["started"] + _CLOCK_S < ends[i]
    ]
    templates = {n.name: n.path for n in find_notebooks(notebooks)}
    ran, same = [], []
    for page in pages:
        executed = folder / f"{page['name']}.ipynb"
        if not executed.is_file():
            continue
        cells = json.loads(executed.read_text(encoding="utf-8"))["cells"]
        ran += [f"{page['name']}: {reason}" for reason in _not_one_execution(cells)]
        template = templates.get(page["name"])
        reasons = _differences(cells, template, page, record["parameters"])
        same += [f"{page['name']}: {reason}" for reason in reasons]
    sealed = (
        [] if seal_of(record) == record.get("seal") else ["the record was changed, or never sealed"]
    )
    return {
        "the run ended and every notebook passed": not_passed
        + ([] if record["verdict"] == PASSED else [f"the run: {record['verdict']}"]),
        "the record is as it was sealed": sealed,
        "every page is as it was sealed": _changed(record.get("files", {}), names, folder),
        "the notebooks ran one after the other, in the order of the record": late,
        "every cell ran once, from the first to the last, without an error": ran,
        "every page is the notebook in the folder, with the run's parameters": same,
    }


def _changed(files: dict[str, str], names: list[str], folder: Path) -> list[str]:
    wanted = [*(f"{name}.ipynb" for name in names), "report.html"]
    found = {path.name for path in folder.glob("*.ipynb")} | {"report.html"}
    reasons = [f"{name} is not of this run" for name in sorted(found - {*wanted})]
    for name in wanted:  # names of ours: what a record says could lead elsewhere
        path = folder / name
        if not path.is_file():
            reasons.append(f"{name} is missing")
        elif digest(path) != files.get(name):
            reasons.append(f"{name} was changed, or never sealed")
    return reasons


def _not_one_execution(cells: list[dict[str, Any]]) -> list[str]:
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    counts = [cell["execution_count"] for cell in code]
    errors = [o["ename"] for cell in code for o in cell["outputs"] if o["output_type"] == "error"]
    order = [] if counts == [*range(1, len(code) + 1)] else [f"its cells ran as {counts}"]
    return order + [f"a cell ended with {name}" for name in errors]


def _differences(
    cells: list[dict[str, Any]],
    template: Path | None,
    page: dict[str, Any],
    parameters: dict[str, Any],
) -> list[str]:
    if template is None:
        return ["there is no such notebook"]
    if digest(template) != page.get("template"):
        return ["the notebook was changed since the run; check out the version that ran"]
    injected = [c for c in cells if "injected-parameters" in c["metadata"].get("tags", [])]
    ours = [_source(cell) for cell in cells if cell not in injected]
    theirs = [_source(c) for c in json.loads(template.read_text(encoding="utf-8"))["cells"]]
    reasons = [
        f"cell {i} is another"
        for i, pair in enumerate(zip(ours, theirs, strict=False), 1)
        if pair[0] != pair[1]
    ]
    if len(ours) != len(theirs):
        reasons.append(f"it has {len(ours)} cells, expected {len(theirs)}")
    for cell in injected:
        for node in ast.parse(_source(cell)[1]).body:
            if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
                reasons.append("the cell of its parameters does more than set them")
            elif ast.literal_eval(node.value) != parameters.get(node.targets[0].id):
                reasons.append(f"{node.targets[0].id} is not the run's")
    return reasons


def _source(cell: dict[str, Any]) -> tuple[str, str]:
    return cell["cell_type"], "".join(cell["source"])
