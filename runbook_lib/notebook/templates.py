"""
Templates as data: number, title, cells and headings of the notebooks in a folder.
"""

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from runbook_lib.core.errors import NotFoundError, ParameterError

_FACTS = re.compile(r"(Before|Undo|Takes|Guide):\s*([^·\n]+)")


@dataclass(frozen=True)
class Cell:
    kind: str
    source: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Notebook:
    """
    One template, for example number `05` and name `05_swarm`.
    """

    path: Path
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def number(self) -> str:
        return self.name[:2]

    @property
    def code(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.kind == "code"]

    @property
    def parameters_source(self) -> str:
        """
        The source of the cell tagged `parameters`; "" if there is none.
        """
        return next((cell.source for cell in self.code if "parameters" in cell.tags), "")

    @property
    def title(self) -> str:
        """
        The first heading, without its number.
        """
        heading = re.search(r"^#\s+(?:\d\d\s+)?(.+)$", self._opening, flags=re.MULTILINE)
        return heading[1].strip() if heading else ""

    @property
    def facts(self) -> dict[str, str]:
        """
        The line under the title, by keyword: Before, Undo, Takes, Guide.
        """
        return {word: value.strip().strip('"') for word, value in _FACTS.findall(self._opening)}

    @property
    def _opening(self) -> str:
        return self.cells[0].source if self.cells else ""

    @property
    def imports(self) -> list[str]:
        """
        The modules in its top-level import statements.
        """
        modules: dict[str, None] = {}  # in order, each once
        for cell in self.code:
            for node in ast.parse(cell.source).body:
                if isinstance(node, ast.Import):
                    modules.update(dict.fromkeys(alias.name for alias in node.names))
                elif isinstance(node, ast.ImportFrom) and node.module:
                    modules[node.module] = None
                    modules.update(dict.fromkeys(f"{node.module}.{a.name}" for a in node.names))
        return list(modules)


def heading_above(sources: list[tuple[str, str]], index: int) -> str:
    """
    Return the last heading before a cell; `sources` are (kind, source) of every cell.
    """
    cells = [source for kind, source in sources[:index] if kind == "markdown"]
    texts = [re.sub(r"^```.*?^```", "", c, flags=re.DOTALL | re.MULTILINE) for c in cells]
    headings = re.findall(r"^#+\s+(.+)$", "\n".join(texts), flags=re.MULTILINE)
    return str(headings[-1]).strip() if headings else "the beginning"


def find_notebooks(folder: Path) -> list[Notebook]:
    """
    Find every template `NN_name.ipynb` of a folder, by number.
    """
    return [_read(path) for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))]


def _read(path: Path) -> Notebook:
    cells = [
        Cell(c["cell_type"], "".join(c["source"]), tuple(c["metadata"].get("tags", [])))
        for c in json.loads(path.read_text(encoding="utf-8"))["cells"]
    ]
    return Notebook(path, tuple(cells))


def select_notebooks(
    notebooks: list[Notebook],
    *,
    only: list[str],
    first: str = "",
    last: str = "",
    usual: Sequence[str] = (),
) -> list[Notebook]:
    """
    Return the notebooks of a run: those of `only` in its order, or `usual` from `first` to `last`.

    Parameters
    ----------
    usual
        Numbers, names and ranges such as "00-07", in order; by default the family of ten of
        `first` or `last`, or 00 to 09.

    Raises NotFoundError with every notebook that does not exist, and those that do; ParameterError
    for a range whose end stands before its beginning.
    """
    ends = [end for word in usual for end in word.split("-")]
    wanted = [*only, *filter(None, [first, last]), *ends]
    missing = [word for word in wanted if not any(_is(n, word) for n in notebooks)]
    if missing or not notebooks:
        raise NotFoundError(
            f"expected notebooks {', '.join(missing) or '00 to 09'}; there is none of that number",
            evidence="there are: " + (", ".join(n.name for n in notebooks) or "none"),
            next_step="run  runbook list , in the folder that holds notebooks/",
        )
    if only:
        return [next(n for n in notebooks if _is(n, word)) for word in only]
    ranges = [word.split("-") for word in usual]
    for words in ranges:
        if len(words) > 2 or words[0][:2] > words[-1][:2]:
            raise _reversed("-".join(words), f'"{min(words)[:2]}-{max(words)[:2]}"')
    chosen = [n for words in ranges for n in _between(notebooks, words[0][:2], words[-1][:2])]
    places = {word: i for i, n in enumerate(chosen) for word in (n.number, n.name)}
    if all(end in places for end in (first, last) if end) and chosen:
        run = chosen[places.get(first, 0) : places.get(last, len(chosen)) + 1]
    else:
        low = (first or "00")[:2]
        run = _between(notebooks, low, (last or f"{low[0]}9")[:2])
    if not run:
        raise _reversed(f"--from {first} --to {last}", f"--from {last} --to {first}")
    return run


def _reversed(seen: str, better: str) -> ParameterError:
    return ParameterError(
        f"expected a range from an earlier notebook to a later one, saw {seen}",
        next_step=f"write  {better}  , or name single notebooks in the order of the run",
    )


def _between(notebooks: list[Notebook], low: str, high: str) -> list[Notebook]:
    return [n for n in notebooks if low <= n.number <= high]


def _is(notebook: Notebook, word: str) -> bool:
    return word in (notebook.number, notebook.name)


def _as_table(notebooks: list[Notebook]) -> str:
    """
    Return the map of the notebooks as a Markdown table with links.
    """
    head = "| notebook | what is true after it | the guide's section | takes |\n|---|---|---|---|\n"
    return head + "".join(
        f"| [{n.name}]({n.path.as_posix()}) | {n.title} | {n.facts.get('Guide', '')} "
        f"| {n.facts.get('Takes', '')} |\n"
        for n in notebooks
    )


def write_map(readme: Path, notebooks: list[Notebook]) -> bool:
    """
    Write the map between the two markers of a page; return whether the page changed.

    Raises NotFoundError if the page has no markers.
    """
    begin, end = "<!-- map -->", "<!-- /map -->"
    text = readme.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1:
        raise NotFoundError(
            f"expected {readme} to hold {begin} and {end} once each, for the map between them",
            next_step="add both lines where the map should be",
        )
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    new = f"{before}{begin}\n{_as_table(notebooks)}{end}{after}"
    if new != text:
        readme.write_text(new, encoding="utf-8")
    return new != text
