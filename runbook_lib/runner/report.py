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
from markupsafe import Markup
from nbconvert import HTMLExporter
from papermill.iorw import load_notebook_node
from traitlets.config import Config

from runbook_lib.core.activity import Note
from runbook_lib.core.rights import rights_of
from runbook_lib.runner.cleaning import clean, svg_as_image
from runbook_lib.runner.record import Run

_HERE = Path(__file__).parent

_FOLDED = """{%- extends 'basic/index.html.j2' -%}
{%- block input_group -%}
<details class="code"><summary>code</summary>{{ super() }}</details>
{%- endblock -%}"""

_PICTURES_FIRST = ["image/png", "text/html", "text/markdown", "text/plain"]


def notebook_body(path: Path) -> str:
    """
    Convert an executed notebook to HTML: code folded, outputs and pictures open, links local.
    """
    notebook = load_notebook_node(str(path))
    for cell in notebook.cells:
        if cell.cell_type == "markdown":  # a diagram needs a script, which only JupyterLab has
            cell.source = re.sub(r"```mermaid\n.*?```", "", cell.source, flags=re.DOTALL)
        for output in cell.get("outputs", []):
            svg_as_image(output.get("data", {}))
    config = Config({"NbConvertBase": {"display_data_priority": _PICTURES_FIRST}})
    make: Any = HTMLExporter  # nbconvert does not type its constructor
    exporter = make(config=config, template_name="basic", raw_template=_FOLDED)
    exporter.log.setLevel("ERROR")  # it warns of tables and charts that have no alternative text
    body, _ = exporter.from_notebook_node(notebook)
    return re.sub(r'href="(\d\d_\w+)\.ipynb"', r'href="#\1"', clean(body))


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
    """
    calls: Counter[str] = Counter()
    for page in run.pages:
        calls.update(page.calls)
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    path = run.folder / "report.html"
    path.write_text(
        environment.get_template("report.html.j2").render(
            run=run,
            bodies={name: _linked(body, bodies) for name, body in bodies.items()},
            calls=sorted(calls.items()),
            needs={call: ", ".join(rights_of(call)) or "none" for call in calls},
            policy=policy(calls),
            notes=[Note(**note)._repr_html_() for page in run.pages for note in page.notes],
            highlights=_highlights(run.folder, list(bodies)),
            style=Markup((_HERE / "report.css").read_text(encoding="utf-8")),  # noqa: S704 - ours
        ),
        encoding="utf-8",
    )
    return path


def _highlights(folder: Path, names: list[str]) -> dict[str, Markup]:
    # the output of each cell tagged `report`, by the heading above it; the last of equal headings
    found: dict[str, Markup] = {}
    notebooks = [path for name in names if (path := folder / f"{name}.ipynb").exists()]
    for notebook in notebooks:
        heading = ""
        for cell in load_notebook_node(str(notebook)).cells:
            if cell.cell_type == "markdown" and cell.source.startswith("## "):
                heading = cell.source.splitlines()[0].removeprefix("## ")
            elif "report" in cell.metadata.get("tags", []):
                shown = "".join(o.get("data", {}).get("text/html", "") for o in cell.outputs)
                if shown:  # a notebook that failed before it has no such output
                    found[heading] = Markup(clean(shown))  # noqa: S704 - cleaned
    return found


def _linked(body: str, bodies: dict[str, str]) -> Markup:
    # links to notebooks outside this report become plain text
    def link(match: re.Match[str]) -> str:
        return match[0] if match[1] in bodies else match[2]

    linked = re.sub(r'<a href="#(\d\d_\w+)">(.*?)</a>', link, body)
    return Markup(linked)  # noqa: S704 - cleaned by notebook_body
