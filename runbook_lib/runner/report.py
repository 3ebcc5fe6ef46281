"""
One page for a person: the changes, checks and calls of a run, and every executed notebook.

The page is self-contained: it can be mailed, or kept as a build artefact. What notebooks saved is
cleaned, and the page forbids its browser to run or fetch anything.
"""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape
from nbconvert import HTMLExporter
from nbconvert.filters import strip_ansi
from papermill.execute import remove_error_markers
from papermill.iorw import load_notebook_node
from traitlets.config import Config

from runbook_lib.core.activity import Note
from runbook_lib.core.rights import rights_of
from runbook_lib.runner import pictures, story
from runbook_lib.runner.cleaning import clean, svg_as_image
from runbook_lib.runner.record import Run

_HERE = Path(__file__).parent

LARGEST = 1_500_000
"""A page of more bytes is no longer mailed: beyond it, notebooks stay in their own files."""

_FOLDED = """{%- extends 'basic/index.html.j2' -%}
{%- block input_group -%}
<details class="code"><summary>code</summary>{{ super() }}</details>
{%- endblock -%}"""

_LEFT_OUT = Markup("<p>Left out, so that this page can be mailed: open {}.ipynb beside it.</p>")

_PICTURES_FIRST = ["image/png", "text/html", "text/markdown", "text/plain"]


def notebook_body(path: Path) -> str:
    """
    Convert an executed notebook to HTML: code folded, outputs and pictures open, links local.

    The cells after an error are marked as not run.
    """
    notebook = remove_error_markers(load_notebook_node(str(path)))
    pictures.give_words(notebook)
    failed = False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":  # a diagram needs a script, which only JupyterLab has
            cell.source = re.sub(r"```mermaid\n.*?```", "", cell.source, flags=re.DOTALL)
        if failed:
            cell.metadata.setdefault("tags", []).append("not-run")
        for output in cell.get("outputs", []):
            failed = failed or output.output_type == "error"
            svg_as_image(output.get("data", {}), cell.metadata["alt"])
    settings = {
        "NbConvertBase": {"display_data_priority": _PICTURES_FIRST},
        "HTMLExporter": {"exclude_anchor_links": True},
    }
    make: Any = HTMLExporter  # nbconvert does not type its constructor, nor this
    plain: Any = strip_ansi
    exporter = make(config=Config(settings), template_name="basic", raw_template=_FOLDED)
    # a terminal's colours were chosen for a black screen, and are too pale for a page
    exporter.register_filter("ansi2html", lambda text: escape(plain(text)))
    exporter.log.setLevel("ERROR")  # it warns of tables that have no alternative text
    body, _ = exporter.from_notebook_node(notebook)
    html = pictures.shrink(clean(body))
    html = re.sub(r"<th[^>]*></th>", "<td></td>", html)  # nothing is no heading
    html = html.replace(
        '<div class="output_area', '<div tabindex="0" class="output_area'
    )  # scrolls
    return re.sub(r'href="(\d\d_\w+)\.ipynb"', r'href="#\1"', html)


def actions(calls: dict[str, int]) -> list[str]:
    return sorted({action for call in calls for action in rights_of(call)})


def policy(calls: dict[str, int]) -> str:
    """
    Return an IAM policy that allows these calls and no others.
    """
    statement = {"Effect": "Allow", "Action": actions(calls), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2)


def write(run: Run, bodies: dict[str, str]) -> Path:
    """
    Write report.html into the folder of the run; `bodies` are the notebooks by name.

    A page of more than 1.5 MB leaves out the longest notebooks, which are in files beside it.
    """
    calls: Counter[str] = Counter()
    for page in run.pages:
        calls.update(page.calls)
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    notes = [Note(**note) for page in run.pages for note in page.notes]
    links = {name: _linked(body, bodies) for name, body in bodies.items()}
    path = run.folder / "report.html"
    while True:
        html = environment.get_template("report.html.j2").render(
            run=run,
            headline=story.headline(run),
            duration=story.duration,
            facts=[note for note in notes if note.fact],
            failed_cells={p.name: _failed_cell(run.folder / f"{p.name}.ipynb") for p in run.pages},
            bodies=links,
            checked=[(p, checks) for p in run.pages if (checks := story.last_checks(p))],
            check_sentence=story.check_sentence,
            calls=sorted(calls.items()),
            needs={call: ", ".join(rights_of(call)) or "none" for call in calls},
            policy=policy(calls),
            notes=[note._repr_html_() for note in notes if not note.fact],
            highlights=_highlights(run.folder, list(bodies)),
            style=Markup((_HERE / "report.css").read_text(encoding="utf-8")),  # noqa: S704 - ours
        )
        longest = max(links, key=lambda name: len(links[name]), default="")
        if len(html.encode()) <= LARGEST or len(links.get(longest, "")) <= len(_LEFT_OUT) + 100:
            path.write_text(html, encoding="utf-8")
            return path
        links[longest] = _LEFT_OUT.format(longest)


def _failed_cell(executed: Path) -> str:
    # the code that ended a notebook; "" if none did
    if not executed.exists():
        return ""
    for cell in load_notebook_node(str(executed)).cells:
        if any(output.output_type == "error" for output in cell.get("outputs", [])):
            return str(cell.source)[:4000]
    return ""


def _highlights(folder: Path, names: list[str]) -> dict[str, Markup]:
    # the output of each cell tagged `report`, by the heading above it; the last of equal headings
    found: dict[str, Markup] = {}
    notebooks = [path for name in names if (path := folder / f"{name}.ipynb").exists()]
    for notebook in notebooks:
        heading = "In short"
        for cell in load_notebook_node(str(notebook)).cells:
            if cell.cell_type == "markdown" and cell.source.startswith("## "):
                heading = cell.source.splitlines()[0].removeprefix("## ")
            elif "report" in cell.metadata.get("tags", []):
                shown = "".join(o.get("data", {}).get("text/html", "") for o in cell.outputs)
                if shown:  # a notebook that failed before it has no such output
                    found[heading] = Markup(pictures.shrink(clean(shown)))  # noqa: S704 - cleaned
    return found


def _linked(body: str, bodies: dict[str, str]) -> Markup:
    # links to notebooks outside this report become plain text
    def link(match: re.Match[str]) -> str:
        return match[0] if match[1] in bodies else match[2]

    linked = re.sub(r'<a href="#(\d\d_\w+)">(.*?)</a>', link, body)
    return Markup(linked)  # noqa: S704 - cleaned by notebook_body
