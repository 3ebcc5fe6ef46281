"""
The house rules, each over every notebook; style of the project, held by a test.
"""

import ast
import itertools
import json
import re
from pathlib import Path

import papermill
import pytest

from runbook_lib.notebook.declarations import declarations
from runbook_lib.notebook.problems import Setting
from runbook_lib.notebook.templates import Notebook, find_notebooks, select_notebooks, write_map
from runbook_lib.runner.masking import Masker
from runbook_lib.runner.values import declared, load, resolve, take_notebooks

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = find_notebooks(FOLDER)
NUMBERS = {notebook.number for notebook in NOTEBOOKS}
FACTS = {"Before", "Undo", "Takes", "Guide"}
SECTIONS = {
    *["AWS - Guía", "AWS - Console", "Grupos de Seguridad (Reglas de FW)"],
    *["Getting Resources & Dependencies", "Solo en el manager/admin", "Configurando el Swarm"],
    *["Deploy - Work Stack", "Deploy - Web Stack", "Disponibilidad", "Análisis de Carga"],
}
"""The guide's titles, of AWS.md and analysis/README.md, as the authors wrote them."""

every_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda n: n.name)


def statements(notebook: Notebook) -> list[ast.AST]:
    return [node for cell in notebook.code for node in ast.walk(ast.parse(cell.source))]


def prose(notebook: Notebook) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.kind == "markdown")


def test_there_are_notebooks_from_start_to_teardown():
    assert {"00", "01", "02", "03", "04", "05", "06", "90"} <= NUMBERS


@every_notebook
def test_it_is_committed_without_outputs(notebook):
    cells = json.loads(notebook.path.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [] == [c["id"] for c in code if c["outputs"] or c["execution_count"]]
    assert [] == [cell["id"] for cell in cells if "papermill" in cell["metadata"]]


@every_notebook
def test_its_code_is_python_without_shell_or_magics(notebook):
    for cell in notebook.code:
        ast.parse(cell.source)  # a ! or a % is a syntax error


@every_notebook
def test_it_asks_nothing_while_it_runs(notebook):
    names = {node.id for node in statements(notebook) if isinstance(node, ast.Name)}
    assert set() == names & {"input", "getpass", "get_ipython", "exit", "quit"}


@every_notebook
def test_it_has_one_parameters_cell_of_the_allowed_form(notebook):
    tagged = [cell for cell in notebook.code if "parameters" in cell.tags]
    assert [notebook.code[0]] == tagged
    assert declarations(tagged[0].source, notebook.name)


@every_notebook
def test_papermill_reads_its_parameters_as_we_do(notebook):
    ours = {p.name: (p.kind, repr(p.default)) for p in declared([notebook]).values()}
    seen = papermill.inspect_notebook(str(notebook.path))
    theirs = {
        name: (p["inferred_type_name"], repr(ast.literal_eval(p["default"])))
        for name, p in seen.items()
    }
    assert ours == theirs


@every_notebook
def test_every_parameter_has_a_rule(notebook):
    """What no rule excludes reaches EC2, a shell, a path or a name; a bool has two values."""
    own = declared([notebook]).values()
    assert [] == [p.name for p in own if p.kind != "bool" and not p.rule]


@every_notebook
def test_no_parameter_is_a_secret(notebook):
    names = declared([notebook])
    suspicious = re.compile(r"password|secret|token|passphrase|private|access_key")
    assert [] == [name for name in names if suspicious.search(name)]


def test_a_name_has_the_same_type_default_and_help_everywhere():
    assert declared(NOTEBOOKS)  # raises, naming both places


@pytest.mark.parametrize(
    "file", sorted((FOLDER.parent / "params").glob("*.yml")), ids=lambda f: f.name
)
def test_every_parameter_file_is_valid_once_it_says_where_the_tiles_are(file):
    everything = declared(NOTEBOOKS)
    values = load(file)
    assert select_notebooks(NOTEBOOKS, only=[], usual=take_notebooks(values))
    values["tiles_url"] = Setting("https://example.org/tiles", "here")
    assert resolve(values, everything, everything)


@every_notebook
def test_it_defines_no_long_function_and_no_class(notebook):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    long = [
        n
        for n in statements(notebook)
        if isinstance(n, kinds) and len(ast.unparse(n).splitlines()) > 5
    ]
    assert [] == [node.name for node in long]


@every_notebook
def test_it_catches_nothing_and_loops_for_nothing(notebook):
    assert [] == [n for n in statements(notebook) if isinstance(n, ast.Try | ast.While)]
    sleeps = [n for n in statements(notebook) if isinstance(n, ast.Attribute) and n.attr == "sleep"]
    assert [] == sleeps


@every_notebook
def test_words_stand_between_any_two_code_cells(notebook):
    kinds = [cell.kind for cell in notebook.cells]
    pairs = list(itertools.pairwise(kinds))
    first = kinds.index("code")  # parameters and imports may stand together
    assert [] == [i for i, pair in enumerate(pairs) if pair == ("code", "code") and i != first]


@every_notebook
def test_imports_stand_in_one_cell_one_statement_a_room(notebook):
    kinds = (ast.Import, ast.ImportFrom)
    cells = [
        cell
        for cell in notebook.code
        if any(isinstance(node, kinds) for node in ast.walk(ast.parse(cell.source)))
    ]
    assert [notebook.code[1]] == cells
    imports = [node for node in ast.parse(cells[0].source).body if isinstance(node, kinds)]
    modules = [getattr(node, "module", node.names[0].name) for node in imports]
    assert sorted(set(modules)) == sorted(modules)


@every_notebook
def test_it_checks_its_parameters_right_after_the_imports(notebook):
    call = f'parameters.check("{notebook.name}", globals())'
    assert call == notebook.code[1].source.splitlines()[-1]


@every_notebook
def test_cells_are_short(notebook):
    """All but the parameters, of which each has its line."""
    assert max(len(cell.source.splitlines()) for cell in notebook.code[1:]) <= 15


@every_notebook
def test_it_is_short(notebook):
    """07 alone is longer: it goes from the second manager to the map in one piece."""
    assert len(notebook.cells) <= (75 if notebook.number == "07" else 55)


@every_notebook
def test_the_summary_comes_after_every_check_and_change(notebook):
    sources = [cell.source for cell in notebook.code]
    after = sources[sources.index("checks.summary()") + 1 :]
    acts = re.compile(r"\b(check|none|true)\(|\bensure_|\bremove_|\bwait_for_")
    assert [] == [source for source in after if acts.search(source)]


@every_notebook
def test_it_checks_something(notebook):
    source = "\n".join(cell.source for cell in notebook.code)
    assert re.search(r"\bchecks\.(check|none|true)\(", source)


@every_notebook
def test_it_opens_with_title_promise_facts_and_drawing(notebook):
    opening = notebook.cells[0].source
    assert f"# {notebook.number} {notebook.title}" == opening.splitlines()[0]
    assert re.search(r"^> After this page ", opening, flags=re.MULTILINE)
    assert FACTS == set(notebook.facts)
    assert re.search(r"```mermaid|<svg|!\[", opening)


@every_notebook
def test_a_drawing_is_readable_on_a_dark_page_too(notebook):
    """The theme chooses the colour of a text, so our own fills let the page shine through."""
    fills = re.findall(r"fill:#(\w+)", notebook.cells[0].source)
    assert [] == [fill for fill in fills if not (len(fill) == 8 and int(fill[6:], 16) <= 0x40)]


@every_notebook
def test_it_names_the_section_of_the_guide_as_it_is_called(notebook):
    assert notebook.facts["Guide"].strip('"') in SECTIONS


@every_notebook
def test_it_ends_with_help_and_the_next_step(notebook):
    headings = re.findall(r"^## (.+)$", prose(notebook), flags=re.MULTILINE)
    assert ["What is true now", "If it went wrong", "Next"] == headings[-3:]


@every_notebook
def test_what_it_changes_can_be_undone(notebook):
    changes = any("ensure_" in cell.source for cell in notebook.code)
    if changes and notebook.number < "10":
        assert f"9{notebook.number[1]}" in NUMBERS
        assert f"9{notebook.number[1]}" in notebook.facts["Undo"]


@every_notebook
def test_the_firewall_it_expects_is_the_one_that_02_makes(notebook):
    """With the map closed to the internet, a page that did not know it would find it broken."""
    code = "\n".join(cell.source for cell in notebook.code)
    calls = set(re.findall(r"wanted_rules\(([^)]*)\)", code))
    assert calls <= {"operator, open_ports, web_cidr"}


@every_notebook
def test_its_links_lead_somewhere(notebook):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", prose(notebook))
    assert [] == [link for link in links if not (FOLDER / link).exists()]


@every_notebook
def test_nothing_secret_is_written_in_it(notebook):
    _, kinds = Masker({}).mask(notebook.path.read_text())
    assert [] == kinds


def test_the_words_are_plain():
    """Words that an engineer does not write to a colleague, and a label that tires."""
    project = FOLDER.parent
    sources = [*FOLDER.glob("*.ipynb"), *project.glob("runbook_lib/**/*.py")]
    sources += project.glob("lab/**/*.py")
    words = re.compile(
        r"\b(whom|anew|dearer|reckoned|nobody's|somebody's|Good means)\b", re.IGNORECASE
    )
    found = {str(path): words.findall(path.read_text(encoding="utf-8")) for path in sources}
    assert {} == {path: each for path, each in found.items() if each}


def test_the_readme_has_the_map_as_it_is_now(monkeypatch, tmp_path):
    monkeypatch.chdir(FOLDER.parent)
    copy = tmp_path / "README.md"
    copy.write_bytes(Path("README.md").read_bytes())
    assert not write_map(copy, find_notebooks(Path("notebooks"))), "run  make map"
