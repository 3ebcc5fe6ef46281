"""
Templates as data: number, title, cells and headings of the notebooks in a folder.
"""

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runbook_lib.core.errors import NotFoundError

_FACTS = re.compile(r"(Before|Undo|Takes|Guide):\s*([^·\n]+)")


@dataclass(frozen=True)
class Cell:
    """
    One cell, its source as one string.
    """

    kind: str
    source: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Notebook:
    """
    One template.
    """

    path: Path
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """
        For example `05_swarm`.
        """
        return self.path.stem

    @property
    def number(self) -> str:
        """
        For example `05`.
        """
        return self.name[:2]

    @property
    def code(self) -> list[Cell]:
        """
        The code cells, in order.
        """
        return [cell for cell in self.cells if cell.kind == "code"]

    @property
    def parameters_source(self) -> str:
        """
        The source of the cell tagged `parameters`; "" where there is none.
        """
        return next((cell.source for cell in self.code if "parameters" in cell.tags), "")

    @property
    def title(self) -> str:
        """
        The first heading, without its number.
        """
        found = re.search(r"^#\s+(?:\d\d\s+)?(.+)$", self._opening, flags=re.MULTILINE)
        return found[1].strip() if found else ""

    @property
    def facts(self) -> dict[str, str]:
        """
        The line under the title, by its words: Before, Undo, Takes, Guide.
        """
        return {word: value.strip().strip('"') for word, value in _FACTS.findall(self._opening)}

    @property
    def _opening(self) -> str:
        return self.cells[0].source if self.cells else ""

    @property
    def imports(self) -> list[str]:
        """
        The modules that its top-level import statements may name.
        """
        found: dict[str, None] = {}
        for cell in self.code:
            for node in ast.parse(cell.source).body:
                if isinstance(node, ast.Import):
                    found.update(dict.fromkeys(alias.name for alias in node.names))
                elif isinstance(node, ast.ImportFrom) and node.module:
                    found[node.module] = None
                    found.update(dict.fromkeys(f"{node.module}.{a.name}" for a in node.names))
        return list(found)


def heading_above(sources: list[tuple[str, str]], index: int) -> str:
    """
    The last heading before a cell; `sources` are (kind, source) of every cell.
    """
    headings = [_heading(source) for kind, source in sources[:index] if kind == "markdown"]
    return next((heading for heading in reversed(headings) if heading), "the beginning")


def _heading(source: str) -> str:
    """
    The last heading of a cell's markdown, outside code blocks.
    """
    text = re.sub(r"^```.*?^```", "", source, flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"^#+\s+(.+)$", text, flags=re.MULTILINE)
    return str(found[-1]).strip() if found else ""


def find_notebooks(folder: Path) -> list[Notebook]:
    """
    Every template `NN_name.ipynb` of a folder, by number.
    """
    return [_read(path) for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))]


def _read(path: Path) -> Notebook:
    cells = tuple(
        Cell(
            kind=cell["cell_type"],
            source="".join(cell["source"]),
            tags=tuple(cell["metadata"].get("tags", [])),
        )
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
    )
    return Notebook(path, cells)


def select_notebooks(
    notebooks: list[Notebook],
    *,
    only: list[str],
    first: str = "",
    last: str = "",
    usual: Sequence[str] = (),
) -> list[Notebook]:
    """
    Those that a run is about: named ones in the order given, or a stretch of what is usual.

    Parameters
    ----------
    usual
        Numbers, names and stretches such as "00-07", in their order; none: the family of ten that
        `first` or `last` is of, else 00 to 09.

    Raises
    ------
    NotFoundError
        Naming everything asked for that is not there, and what is.
    """
    ends = [end for word in usual for end in word.split("-")]
    wanted = [*only, *filter(None, [first, last]), *ends]
    missing = [word for word in wanted if not any(_is(n, word) for n in notebooks)]
    if missing or not notebooks:
        raise NotFoundError(
            f"expected notebooks {', '.join(missing) or '00 to 09'}; there is none of that number",
            evidence="there are: " + (", ".join(n.name for n in notebooks) or "none at all"),
            next_step="run  runbook list , in the folder that holds notebooks/",
        )
    if only:
        return [next(n for n in notebooks if _is(n, word)) for word in only]
    stretches = [word.split("-") for word in usual]
    chosen = [n for words in stretches for n in _stretch(notebooks, words[0][:2], words[-1][:2])]
    places = {word: i for i, n in enumerate(chosen) for word in (n.number, n.name)}
    if all(end in places for end in (first, last) if end) and chosen:
        return chosen[places.get(first, 0) : places.get(last, len(chosen)) + 1]
    low = (first or "00")[:2]
    return _stretch(notebooks, low, (last or f"{low[0]}9")[:2])


def _stretch(notebooks: list[Notebook], low: str, high: str) -> list[Notebook]:
    return [n for n in notebooks if low <= n.number <= high]


def _is(notebook: Notebook, word: str) -> bool:
    return word in (notebook.number, notebook.name)


def as_table(notebooks: list[Notebook]) -> str:
    """
    The map as a Markdown table, linked; families are kept together by their numbers.
    """
    head = "| notebook | what is true after it | the guide's section | takes |\n|---|---|---|---|\n"
    return head + "".join(
        f"| [{n.name}]({n.path.as_posix()}) | {n.title} | {n.facts.get('Guide', '')} "
        f"| {n.facts.get('Takes', '')} |\n"
        for n in notebooks
    )


def write_map(readme: Path, notebooks: list[Notebook]) -> bool:
    """
    Put the map between the two markers of a page; whether that changed anything.

    Raises
    ------
    NotFoundError
        Where the page has no markers.
    """
    begin, end = "<!-- map -->", "<!-- /map -->"
    text = readme.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1:
        raise NotFoundError(
            f"expected {readme} to hold {begin} and {end} once each, to write the map between",
            next_step="add both lines where the map belongs",
        )
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    new = f"{before}{begin}\n{as_table(notebooks)}{end}{after}"
    if new != text:
        readme.write_text(new, encoding="utf-8")
    return new != text
